"""Who may do what to which object: rules of an app, all in one place."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

from authward.core.functions import is_async
from authward.core.grants import BadPermission, check_permission
from authward.core.principal import Principal
from authward.core.text import printable
from authward.errors import ConfigurationError, Forbidden


class Decision(Enum):
    """What a rule says. Of several, one DENY refuses; else one ALLOW lets in; else nobody does."""

    ALLOW = "allow"
    DENY = "deny"
    ABSTAIN = "abstain"

    def __bool__(self) -> bool:
        # DENY would be true: `if policies.decide(…)` would let everybody in.
        raise TypeError("A Decision is no yes or no: ask policies.can(…), or compare it")


# Looked up on the class they cost as much as a rule.
_ALLOW, _DENY, _ABSTAIN = Decision.ALLOW, Decision.DENY, Decision.ABSTAIN

Rule: TypeAlias = Callable[[Principal, str, Any], Decision]
"""Asked with the caller, the action and the object."""


def owner(of: str | Callable[[Any], str | None]) -> Rule:
    """Allows whom the object belongs to. `of` is the attribute that holds the owner's id, or a
    function that finds it in the object. None and "" are nobody's.

    The rule raises ConfigurationError for an object without that attribute, and for an owner that
    is no text, as no caller would ever be it.
    """
    if not (of.isidentifier() if isinstance(of, str) else callable(of)):
        raise ConfigurationError(
            f"owner: {of!r} is no attribute. Name one, owner('author_id'), or give a function, "
            "owner(lambda post: post['author'])"
        )

    def owns(principal: Principal, action: str, resource: Any) -> Decision:
        if callable(of):
            found = of(resource)
        else:
            try:
                found = getattr(resource, of)
            except AttributeError:
                raise ConfigurationError(_no_owner(of, action, resource)) from None
        if found is None or found == "":
            return _ABSTAIN
        if not isinstance(found, str):
            raise ConfigurationError(
                f"owner: the owner for {action} is a {type(found).__name__}, and ids of accounts "
                "are text. Give a function: owner(lambda post: str(post.author_id))"
            )
        return _ALLOW if found == principal.id else _ABSTAIN

    return owns


def role(*names: str) -> Rule:
    """Allows callers that hold one of these roles. Raises ConfigurationError."""
    if not names or any(type(name) is not str or not name for name in names):
        raise ConfigurationError("role: name at least one, as text: role('editor')")
    asked = frozenset(names)

    def holds_one(principal: Principal, action: str, resource: Any) -> Decision:
        if principal.role in asked or not principal.roles.isdisjoint(asked):
            return _ALLOW
        return _ABSTAIN

    return holds_one


def permission(text: str) -> Rule:
    """Allows callers that hold this permission. Raises ConfigurationError."""
    needed = _checked("permission", text)

    def may(principal: Principal, action: str, resource: Any) -> Decision:
        return _ALLOW if principal.can(needed) else _ABSTAIN

    return may


class Policies:
    """The rules of an app for its objects, by action. What no rule allows is refused.

    `warn` is told of questions about actions that nobody wrote a rule for.
    """

    def __init__(self, warn: Callable[[str], None] | None = None) -> None:
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._warn = warn

    def allow(self, action: str, rule: Rule) -> None:
        """Ask `rule` too about `action`, a permission like `update:post`. A rule is one of
        `owner`, `role` and `permission`, or a function `(principal, action, object) -> Decision`.
        Raises ConfigurationError.
        """
        _checked("allow", action)
        if not callable(rule):
            raise ConfigurationError(
                f"allow: {rule!r} is no rule for {action}. Use owner('author_id'), role('editor'), "
                "permission('manage:posts') or a function (principal, action, object) -> Decision"
            )
        if is_async(rule):
            raise ConfigurationError(
                f"allow: the rule for {action} is async. A rule decides from what it is given: "
                "load the object first"
            )
        self._rules[action] = (*self._rules.get(action, ()), rule)

    def decide(self, principal: Principal, action: str, resource: Any) -> Decision:
        """ALLOW or DENY. Every rule of the action is asked; what one raises is raised. Raises
        ConfigurationError if one answers anything but a Decision: what merely looks true lets
        nobody in.
        """
        rules = self._rules.get(action)
        if rules is None:
            if self._warn is not None:
                self._warn(_no_rule(action))
            return _DENY
        allowed = denied = False
        for rule in rules:
            said = rule(principal, action, resource)
            if said is _ALLOW:
                allowed = True
            elif said is _DENY:
                denied = True
            elif said is not _ABSTAIN:
                raise ConfigurationError(_no_decision(rule, action, said))
        return _ALLOW if allowed and not denied else _DENY

    def can(self, principal: Principal, action: str, resource: Any) -> bool:
        """Whether the caller may do `action` to this object. Raises as `decide` does."""
        return self.decide(principal, action, resource) is _ALLOW

    def check(self, principal: Principal, action: str, resource: Any) -> None:
        """Refuse a caller who may not do `action` to this object. Raises Forbidden, and what
        `decide` raises.
        """
        if self.decide(principal, action, resource) is not _ALLOW:
            known = action in self._rules
            raise Forbidden(f"no rule allows {action}" if known else _no_rule(action))


def _checked(option: str, text: str) -> str:
    whatever: object = text
    if not isinstance(whatever, str):
        raise ConfigurationError(f"{option}: {text!r} is no permission. Name it as text")
    try:
        return check_permission(text)
    except BadPermission as error:
        raise ConfigurationError(f"{option}: '{text}'? {error}") from None


def _no_rule(action: str) -> str:
    shown = printable(action, 130)
    return f"nobody wrote a rule for {shown}: auth.policies.allow('{shown}', …)"


def _no_owner(of: str, action: str, resource: Any) -> str:
    return (
        f"owner: a {type(resource).__name__} has no '{of}', asked for {action}. Name the attribute "
        f"that holds the owner's id, or give a function: owner(lambda post: post['{of}'])"
    )


def _no_decision(rule: Rule, action: str, said: object) -> str:
    name = getattr(rule, "__name__", repr(rule))
    return (
        f"policies: {name} answered a {type(said).__name__} for {action}. A rule answers "
        "Decision.ALLOW, Decision.DENY or Decision.ABSTAIN"
    )
