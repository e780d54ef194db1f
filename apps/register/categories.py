"""The tree of risk categories."""

from __future__ import annotations

from django.db import transaction

from apps.register.models import Category
from apps.register.refusals import MissingInformation

BETWEEN = " > "
LONGEST = 500


def path_of(category: Category) -> str:
    """The names from the root to a category, as its parent says.

    Raises:
        MissingInformation: it would stand below itself, its name holds the separator, or the path is taken or too long.
    """
    if BETWEEN.strip() in category.name:
        raise MissingInformation(fields={"name": [f"A name has no “{BETWEEN.strip()}”."]})
    names, above = [category.name], category.parent
    while above is not None:
        if above.pk == category.pk:
            raise MissingInformation(fields={"parent": ["A category cannot stand below itself."]})
        names.append(above.name)
        above = above.parent
    path = BETWEEN.join(reversed(names))
    if Category.objects.filter(path=path).exclude(pk=category.pk).exists():
        raise MissingInformation(fields={"name": ["There is such a category already."]})
    if len(path) > LONGEST:
        raise MissingInformation(fields={"name": [f"The path would be longer than {LONGEST} characters."]})
    return path


@transaction.atomic
def place(category: Category) -> Category:
    """Save a category where its parent says; the paths of all below it follow.

    Raises:
        MissingInformation: see :func:`path_of`.
    """
    category.path = path_of(category)
    category.save()
    for child in category.children.all():
        place(child)
    return category
