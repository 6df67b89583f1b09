"""A broker of Apache Kafka that asks for a name and a password, and knows permissions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)

from tests.brokers import Broker

ADMIN, READER = "admin", "reader"

LOGIN = "org.apache.kafka.common.security"

SETTINGS: Mapping[str, str | int] = {
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.client.plain.sasl.jaas.config": (
        f'{LOGIN}.plain.PlainLoginModule required username="{ADMIN}" password="{ADMIN}-secret" '
        f'user_{ADMIN}="{ADMIN}-secret" user_{READER}="{READER}-secret";'
    ),
    "listener.name.client.scram-sha-512.sasl.jaas.config": (
        f"{LOGIN}.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{ADMIN};User:ANONYMOUS",  # nobody logs in to the controller
    "connections.max.idle.ms": 3000,
}


def login(user: str, mechanism: str = "PLAIN", password: str | None = None) -> dict[str, Any]:
    """Return the options of a client that logs in."""
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": f"{user}-secret" if password is None else password,
    }


@contextmanager
def secured_broker(folder: Path) -> Iterator[Broker]:
    """Start such a broker; the client of its own logs in as the administrator."""
    broker = Broker("apache", folder, settings=SETTINGS)
    broker.client |= login(ADMIN)
    with broker:
        yield broker


class Permissions:
    """What the reader may do, given and taken back.

    Parameters
    ----------
    broker
        With `SETTINGS`.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def allow(self, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
        """Permit some operations on a topic or a group."""
        with self.broker.admin() as admin:
            admin.create_acls(self._rules(kind, name, operations))

    def forbid(self, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
        """Take the permissions back."""
        with self.broker.admin() as admin:
            admin.delete_acls(self._rules(kind, name, operations))

    @staticmethod
    def _rules(kind: ResourceType, name: str, operations: tuple[ACLOperation, ...]) -> list[ACL]:
        pattern = ResourcePattern(kind, name)
        return [
            ACL(f"User:{READER}", "*", operation, ACLPermissionType.ALLOW, pattern)
            for operation in operations
        ]
