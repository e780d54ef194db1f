"""The risk register: assessments, risks and their scores, what is done about them, and what shows that it is done."""

from apps.register.models.acceptances import Acceptance as Acceptance
from apps.register.models.assessments import AssessmentVersion as AssessmentVersion
from apps.register.models.assessments import Provision as Provision
from apps.register.models.assessments import ReviewGate as ReviewGate
from apps.register.models.assessments import RiskAssessment as RiskAssessment
from apps.register.models.checks import CheckVersion as CheckVersion
from apps.register.models.imports import RiskImport as RiskImport
from apps.register.models.incidents import CommunicationTemplate as CommunicationTemplate
from apps.register.models.incidents import Incident as Incident
from apps.register.models.incidents import IncidentEvent as IncidentEvent
from apps.register.models.incidents import PostIncidentReview as PostIncidentReview
from apps.register.models.incidents import ProposedChange as ProposedChange
from apps.register.models.matrices import Matrix as Matrix
from apps.register.models.matrices import MatrixVersion as MatrixVersion
from apps.register.models.mitigations import Attestation as Attestation
from apps.register.models.mitigations import CheckResult as CheckResult
from apps.register.models.mitigations import Control as Control
from apps.register.models.mitigations import Mitigation as Mitigation
from apps.register.models.reviews import RegisterReview as RegisterReview
from apps.register.models.reviews import ReviewPoint as ReviewPoint
from apps.register.models.risks import Category as Category
from apps.register.models.risks import Rating as Rating
from apps.register.models.risks import Risk as Risk
from apps.register.models.risks import RiskLink as RiskLink
