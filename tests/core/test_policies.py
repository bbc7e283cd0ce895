"""Rules about objects: who owns what, who may all, and that nothing slips through."""

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pytest

from authward.core.policies import Decision, Policies, Rule, owner, permission, role
from authward.core.principal import Principal
from authward.errors import ConfigurationError, Forbidden

ALLOW, DENY, ABSTAIN = Decision.ALLOW, Decision.DENY, Decision.ABSTAIN


@dataclass
class Post:
    author_id: Any


def caller(id: str, *permissions: str, roles: tuple[str, ...] = ("user",)) -> Principal:
    return Principal(id, "", roles[0], frozenset(permissions), "session-01", roles=frozenset(roles))


ADA, EVE = caller("ada-00000001"), caller("eve-00000001")
EDITOR = caller("edo-00000001", roles=("editor",))
CHIEF = caller("che-00000001", roles=("user", "chief", "editor"))
MINE = Post(ADA.id)


def saying(decision: Any) -> Rule:
    return lambda principal, action, resource: decision


def policies(*rules: Rule) -> Policies:
    made = Policies()
    for rule in rules:
        made.allow("update:post", rule)
    return made


def test_authors_edit_their_own_posts_editors_any() -> None:
    made = policies(owner("author_id"), role("editor"))
    for who, may in ((ADA, True), (EVE, False), (EDITOR, True), (CHIEF, True)):
        assert made.can(who, "update:post", MINE) is may
        assert made.decide(who, "update:post", MINE) is (ALLOW if may else DENY)
    made.check(ADA, "update:post", MINE)
    with pytest.raises(Forbidden) as caught:
        made.check(EVE, "update:post", MINE)
    assert caught.value.reason == "no rule allows update:post"
    assert caught.value.message == Forbidden.text
    # Of another action nothing was said.
    assert not made.can(ADA, "delete:post", MINE)


@pytest.mark.parametrize(
    "said", [list(some) for n in (1, 2, 3) for some in product(Decision, repeat=n)]
)
def test_what_several_rules_come_to(said: list[Decision]) -> None:
    decided = policies(*map(saying, said)).decide(ADA, "update:post", MINE)
    assert decided is (ALLOW if ALLOW in said and DENY not in said else DENY)


class TestOwner:
    def test_by_attribute_and_by_function(self) -> None:
        for of, resource in (
            ("author_id", MINE),
            (lambda post: post["author"], {"author": ADA.id}),
            (lambda post: post.author_id, MINE),
        ):
            rule = owner(of)
            assert rule(ADA, "update:post", resource) is ALLOW
            assert rule(EVE, "update:post", resource) is ABSTAIN

    @pytest.mark.parametrize("nobody", [None, ""])
    def test_what_is_nobodys_is_not_the_callers(self, nobody: Any) -> None:
        for who in (ADA, caller(nobody)):
            assert owner("author_id")(who, "update:post", Post(nobody)) is ABSTAIN
            assert owner(lambda post: nobody)(who, "update:post", MINE) is ABSTAIN
            assert not policies(owner("author_id")).can(who, "update:post", Post(nobody))

    @pytest.mark.parametrize("resource", [None, {"author_id": ADA.id}, object(), "a post"])
    def test_an_object_without_the_attribute_is_told(self, resource: Any) -> None:
        # Also where another rule would allow: the mistake is found by the first who tries.
        made = policies(role("editor"), owner("author_id"))
        with pytest.raises(ConfigurationError, match="has no 'author_id', asked for update:post"):
            made.can(EDITOR, "update:post", resource)

    @pytest.mark.parametrize("odd", [7, b"ada-00000001", ADA, True, ["ada-00000001"]])
    def test_an_owner_that_no_caller_could_be_is_told(self, odd: Any) -> None:
        with pytest.raises(ConfigurationError, match="ids of accounts are text"):
            policies(owner("author_id")).can(ADA, "update:post", Post(odd))

    @pytest.mark.parametrize("of", ["", "author.id", "author id", None, 7])
    def test_what_is_no_attribute(self, of: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"owner: .* is no attribute"):
            owner(of)


class TestRole:
    def test_the_one_on_the_wire_another_or_an_included(self) -> None:
        rule = role("editor", "moderator")
        for who, said in ((ADA, ABSTAIN), (EDITOR, ALLOW), (CHIEF, ALLOW)):
            assert rule(who, "update:post", MINE) is said
        bare = Principal("bea-00000001", "", "editor", frozenset(), "session-01")
        assert rule(bare, "update:post", MINE) is ALLOW

    @pytest.mark.parametrize("names", [(), ("",), ("editor", None), (["editor"],)])
    def test_no_role_would_be_everybody_or_nobody(self, names: Any) -> None:
        with pytest.raises(ConfigurationError, match="role: name at least one"):
            role(*names)


class TestPermission:
    @pytest.mark.parametrize("granted", ["manage:posts", "manage:*", "*:posts", "*:*"])
    def test_held_or_by_a_wildcard(self, granted: str) -> None:
        assert permission("manage:posts")(caller("x", granted), "update:post", MINE) is ALLOW

    def test_not_held(self) -> None:
        rule = permission("manage:posts")
        assert rule(caller("x", "manage:post"), "update:post", MINE) is ABSTAIN

    @pytest.mark.parametrize("text", ["", "manage", "manage:*", None, 7])
    def test_what_is_none(self, text: Any) -> None:
        with pytest.raises(ConfigurationError, match="permission: "):
            permission(text)


class TestWhatWouldLetInByAccident:
    @pytest.mark.parametrize("odd", [True, 1, "allow", "deny", object(), None, False])
    def test_a_rule_that_answers_no_decision(self, odd: Any) -> None:
        made = policies(role("user"), saying(odd))
        for ask in (made.can, made.check, made.decide):
            with pytest.raises(ConfigurationError, match="A rule answers Decision"):
                ask(ADA, "update:post", MINE)

    def test_a_rule_without_a_name(self) -> None:
        made = policies(partial(lambda *given: True))  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"partial.*answered a bool"):
            made.can(ADA, "update:post", MINE)

    def test_a_rule_that_fails(self) -> None:
        def failing(principal: Principal, action: str, resource: Any) -> Decision:
            raise KeyError("author")

        for rules in ((failing, role("user")), (role("user"), failing)):
            with pytest.raises(KeyError):
                policies(*rules).can(ADA, "update:post", MINE)

    def test_a_rule_that_would_have_to_wait(self) -> None:
        async def later(principal: Principal, action: str, resource: Any) -> Decision:
            return ALLOW

        with pytest.raises(ConfigurationError, match="is async"):
            policies(later)  # type: ignore[arg-type]

    @pytest.mark.parametrize("rule", [True, Decision.ALLOW, "editor", None])
    def test_what_is_no_rule(self, rule: Any) -> None:
        with pytest.raises(ConfigurationError, match="is no rule for update:post"):
            policies(rule)

    @pytest.mark.parametrize("action", ["update", "update:*", "*:*", "", None])
    def test_what_is_no_action(self, action: Any) -> None:
        with pytest.raises(ConfigurationError, match="allow: "):
            Policies().allow(action, role("editor"))

    def test_a_decision_is_no_yes(self) -> None:
        made = policies(role("editor"))
        with pytest.raises(TypeError, match="A Decision is no yes or no"):
            assert made.decide(ADA, "update:post", MINE)
        with pytest.raises(TypeError):
            assert not Decision.DENY


def test_what_nobody_wrote_a_rule_for_is_refused_and_told() -> None:
    told: list[str] = []
    made = Policies(told.append)
    made.allow("update:post", role("user"))
    assert not made.can(ADA, "updat:post", MINE)
    cure = "nobody wrote a rule for updat:post: auth.policies.allow('updat:post', …)"
    assert told == [cure]
    assert made.can(ADA, "update:post", MINE)
    assert told == [cure]
    with pytest.raises(Forbidden) as caught:
        made.check(ADA, "a\nb" * 99, MINE)
    assert "\n" not in caught.value.reason
    assert "rule for a\\x0ab" in caught.value.reason
    assert len(told[1]) < 700
    assert Policies().decide(ADA, "update:post", MINE) is DENY
