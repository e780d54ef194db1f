"""Stores, and the customers and products they know."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F
from django.db.models.functions import Upper

from apps.core.fields import EncryptedTextField
from apps.orders.querysets import OfStoreQuerySet, StoreQuerySet


class Store(models.Model):
    """A shop that orders come from."""

    class Platform(models.TextChoices):
        SHOPIFY = "shopify", "Shopify"
        FILE = "file", "Imported files"

    scope = models.OneToOneField("core.Scope", models.PROTECT, related_name="store")
    platform = models.CharField(max_length=10, choices=Platform)
    domain = models.CharField(max_length=255, unique=True, help_text="Such as example.myshopify.com.")
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3, default="USD")
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Days of rates are counted in it.")
    active = models.BooleanField(default=True)
    webhook_secret = EncryptedTextField(blank=True, help_text="The app's client secret.")
    webhook_secret_previous = EncryptedTextField(blank=True, help_text="Accepted too while the secret is rotated.")
    api_base_url = models.URLField(blank=True, help_text="Empty: https://{domain}.")
    api_token = EncryptedTextField(blank=True, help_text="Admin API access token.")

    objects = StoreQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """A buyer, as the store identifies them."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="customers")
    external_id = models.CharField(max_length=64)
    email = models.CharField(max_length=254, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(help_text="The store's own time of the last change; older news is ignored.")
    redacted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then nothing personal is taken in again."
    )

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "external_id"], name="customer_external")]
        indexes = [
            models.Index(fields=["store", "email"], name="customer_email"),
            # For the search box, which asks upper(column) LIKE '%...%'.
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="customer_name_words"),
            GinIndex(OpClass(Upper("email"), name="gin_trgm_ops"), name="customer_email_words"),
        ]

    def __str__(self) -> str:
        return self.name or self.email or f"Customer {self.external_id}"


class Product(models.Model):
    """Something sold."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="products")
    external_id = models.CharField(max_length=64)
    title = models.CharField(max_length=255)

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "external_id"], name="product_external")]
        indexes = [models.Index(F("title"), name="product_title")]

    def __str__(self) -> str:
        return self.title
