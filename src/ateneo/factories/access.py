"""Keys and logins, from the settings."""

from ateneo.access.service import AccessService
from ateneo.db.pool import Database
from ateneo.errors import SettingsError
from ateneo.i18n import tr
from ateneo.settings import Settings


def make_access_service(settings: Settings, db: Database) -> AccessService:
    """Keys, and tokens of the user's own login where the settings name one. Raises SettingsError for half a login."""
    verifier = None
    if settings.jwt_jwks is not None:
        if settings.jwt_issuer is None or settings.jwt_audience is None:
            detail = tr("hacen falta los tres: JWKS, ISSUER y AUDIENCE.", "all three: JWKS, ISSUER and AUDIENCE.")
            raise SettingsError(name="ATENEO_JWT_*", detail=detail)
        from ateneo.providers.login import LoginTokens

        verifier = LoginTokens(
            jwks=settings.jwt_jwks,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            tenant_claim=settings.jwt_tenant_claim,
            scopes=settings.jwt_scopes.split(),
        )
    return AccessService(
        db,
        verifier,
        per_minute=settings.requests_per_minute,
        failures_per_minute=settings.failed_logins_per_minute,
    )
