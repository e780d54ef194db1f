"""The risk register as people read and keep it; each module holds the pages of one kind of thing."""

from apps.register.admin import assessments as assessments
from apps.register.admin import checks as checks
from apps.register.admin import controls as controls
from apps.register.admin import imports as imports
from apps.register.admin import incidents as incidents
from apps.register.admin import matrices as matrices
from apps.register.admin import mitigations as mitigations
from apps.register.admin import reviews as reviews
from apps.register.admin import risks as risks
