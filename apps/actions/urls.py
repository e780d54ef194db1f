"""Addresses of the actions' API."""

from rest_framework.routers import SimpleRouter

from apps.actions.api import CardViewSet

router = SimpleRouter()
router.register("cards", CardViewSet, basename="card")
urlpatterns = router.urls
