"""Which errors of the Kafka client end by themselves, and what a person should do about the others.

Every module that calls the client raises its errors through `failure`. Read this module to add
advice for an error.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafka.errors import (
    AuthorizationError,
    BrokerNotAvailableError,
    CorruptRecordError,
    GroupAuthorizationFailedError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_stream.errors import DataError, FenchelStreamError, UnavailableError

ADVICE: dict[type[KafkaError], str] = {
    SaslAuthenticationFailedError: (
        "the broker refuses the login of {user}: check sasl_mechanism, sasl_plain_username and "
        "sasl_plain_password in [kafka]"
    ),
    UnsupportedSaslMechanismError: (
        "the broker does not offer the login that sasl_mechanism in [kafka] names"
    ),
    TopicAuthorizationFailedError: (
        "{user} may not {action} topic {topic}: give that user the permission {permission} on it"
    ),
    GroupAuthorizationFailedError: (
        "{user} may not use the group: give that user the permission READ on it"
    ),
    TransactionalIdAuthorizationFailedError: (
        "{user} may not use the transactional id: give that user the permissions WRITE and "
        "DESCRIBE on ids that begin with fenchel-stream-"
    ),
    AuthorizationError: "{user} lacks a permission",
    UnsupportedCodecError: (
        "topic {topic} is compressed with a codec whose library is not installed"
    ),
    CorruptRecordError: (
        "topic {topic} holds a record whose checksum is wrong: the broker's disk or the network "
        "has damaged it"
    ),
    ProducerFencedError: (
        "another process has taken over the transactional id: two runs share one checkpoint "
        "directory, or a transaction took longer than transaction_timeout_ms"
    ),
}
ADVICE[InvalidProducerEpochError] = ADVICE[ProducerFencedError]

_PROTOCOL = "security_protocol is {protocol}: does the broker expect another one{login}?"

HINTS = {
    "CERTIFICATE_VERIFY_FAILED": (
        "the certificate of the broker is not trusted: ssl_cafile in [kafka] names the authority's "
        "PEM file"
    ),
    "socket disconnected": _PROTOCOL,
    "Handshake failed": _PROTOCOL,
    "IllegalSaslState": _PROTOCOL,
    "ECONNREFUSED": "nobody listens at this address: is it right, and does the broker run?",
    "DNS": "this host has no address: is its name right?",
    "initializing transactional": (
        "no coordinator of transactions answers: can the brokers keep the topic "
        "__transaction_state, which takes transaction.state.log.replication.factor of them?"
    ),
    "Unable to bootstrap": (
        "no answer in time: does a broker of Kafka listen there, and is it to be reached with "
        "security_protocol {protocol}?"
    ),
}
"""What a person should look at if no connection comes about, by a part of the client's message."""

PERMISSIONS = {"read": "READ", "write": "WRITE", "describe": "DESCRIBE"}


def passes(error: Exception) -> bool:
    """Return whether an error of the client ends by itself, so that it can be waited out."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, BrokerNotAvailableError)
    return isinstance(error, OSError)


def explain(
    error: Exception,
    options: ClientOptions,
    *,
    topic: str,
    action: str = "read",
    causes: Iterable[Exception] = (),
    at: str | None = None,
) -> str:
    """Return the message for a person: where, what was wrong, what to do.

    Parameters
    ----------
    error
        What the client raised.
    options
        Of the client.
    topic
        Which topic it was about.
    action
        What was tried with the topic: ``"read"``, ``"write"`` or ``"describe"``.
    causes
        Errors that the client logged meanwhile. A client that cannot connect raises only that it
        cannot.
    at
        The brokers that were asked; by default those that the user names.
    """
    error = _telling(error, causes)
    user = options.values.get("sasl_plain_username")
    words = {
        "user": "the client without a login" if user is None else f"user {user!r}",
        "topic": repr(topic),
        "action": action,
        "permission": PERMISSIONS[action],
    }
    detail = f"Kafka at {at or options.servers}: {error}"
    for kind, advice in ADVICE.items():
        if isinstance(error, kind):
            return options.scrub(f"{detail}: {advice.format(**words)}")
    for sign, hint in HINTS.items():
        if sign in str(error):
            protocol = options.values.get("security_protocol", "PLAINTEXT")
            login = f", or refuse the login of {words['user']}" if "SASL" in protocol else ""
            return options.scrub(f"{detail} ({hint.format(protocol=protocol, login=login)})")
    return options.scrub(detail)


def failure(
    error: Exception,
    options: ClientOptions,
    *,
    topic: str,
    action: str = "read",
    causes: Iterable[Exception] = (),
    at: str | None = None,
    kind: type[FenchelStreamError] = DataError,
) -> FenchelStreamError:
    """Return the exception to raise for an error of the client.

    `UnavailableError` stands for what ends by itself, and `kind` for everything else. The other
    parameters are those of `explain`.
    """
    causes = list(causes)
    message = explain(error, options, topic=topic, action=action, causes=causes, at=at)
    return UnavailableError(message) if passes(_telling(error, causes)) else kind(message)


def _telling(error: Exception, causes: Iterable[Exception]) -> Exception:
    """Return the error that tells most: one that does not pass, or else the last cause."""
    # Attempts that time out say less than those that the broker ended.
    causes = [
        one for one in causes if not isinstance(one, KafkaTimeoutError | RequestTimedOutError)
    ]
    if not isinstance(error, KafkaTimeoutError) or not causes:
        return error
    lasting = [one for one in causes if not passes(one)]
    return lasting[0] if lasting else causes[-1]
