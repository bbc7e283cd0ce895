"""The few sessions and accounts whose access tokens died early, as memory keeps them between feed
and request.
"""

from __future__ import annotations

from collections.abc import Collection

from authward.errors import TokenExpired, TokenRevoked


class Revocations:
    """Revoked sessions, version floors of accounts, and cuts through all sessions or those of a
    role. Times in milliseconds.

    An entry must live as long as the longest access token issued before it; `prune` drops the rest.
    """

    __slots__ = ("_cuts", "_revoked", "_sessions", "_superseded")

    def __init__(self) -> None:
        self._sessions: dict[str, int] = {}
        # account -> exempt session ("" for none) -> (version below which tokens are dead, when)
        self._revoked: dict[str, dict[str, tuple[int, int]]] = {}
        self._superseded: dict[str, tuple[int, int]] = {}
        # role ("" for all) -> (sessions opened before then are dead, when that was said)
        self._cuts: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._sessions) + len(self._revoked) + len(self._superseded) + len(self._cuts)

    def revoke_session(self, session_id: str, at: int) -> None:
        """Every token of the session is dead."""
        self._sessions[session_id] = max(at, self._sessions.get(session_id, 0))

    def revoke_user(self, user_id: str, ver: int, keep_session: str | None, at: int) -> None:
        """Tokens of the account below `ver` are dead, but for those of `keep_session`."""
        floors = self._revoked.setdefault(user_id, {})
        known = floors.get(keep_session or "", (0, 0))
        floors[keep_session or ""] = (max(ver, known[0]), max(at, known[1]))

    def supersede_user(self, user_id: str, ver: int, at: int) -> None:
        """Tokens of the account below `ver` carry old rights."""
        known = self._superseded.get(user_id, (0, 0))
        self._superseded[user_id] = (max(ver, known[0]), max(at, known[1]))

    def cut(self, role: str, before: int, at: int) -> None:
        """Tokens of sessions opened before `before`, a whole second, are dead: those that hold
        `role`, or all of them if it is "".
        """
        known = self._cuts.get(role, (0, 0))
        self._cuts[role] = (max(before, known[0]), max(at, known[1]))

    def check(
        self, user_id: str, session_id: str, ver: int, auth_time: int, roles: Collection[str]
    ) -> None:
        """Refuse a dead token (TokenRevoked) or an outdated one (TokenExpired).

        Versions decide on accounts. Cuts go by `auth_time`, in seconds, which a token has from the
        session's row, so that no two clocks are compared, and by `roles`, all that it holds.
        """
        if session_id in self._sessions:
            raise TokenRevoked("session revoked")
        floors = self._revoked.get(user_id)
        if floors is not None:
            for kept, (floor, _) in floors.items():
                if ver < floor and kept != session_id:
                    raise TokenRevoked("account's sessions revoked")
        superseded = self._superseded.get(user_id)
        if superseded is not None and ver < superseded[0]:
            raise TokenExpired("superseded by newer rights")
        # Last: a token from before a change of roles shows roles that are not the account's any
        # more. It is outdated, and whether its session lives the refresh will tell.
        for role, (before, _) in self._cuts.items():
            if auth_time * 1000 < before and (not role or role in roles):
                raise TokenRevoked("sessions opened before then revoked")

    def prune(self, before: int) -> None:
        """Forget what happened before `before`."""
        self._sessions = {key: at for key, at in self._sessions.items() if at >= before}
        self._superseded = {
            key: entry for key, entry in self._superseded.items() if entry[1] >= before
        }
        self._cuts = {key: entry for key, entry in self._cuts.items() if entry[1] >= before}
        pruned = {
            user: {kept: entry for kept, entry in floors.items() if entry[1] >= before}
            for user, floors in self._revoked.items()
        }
        self._revoked = {user: floors for user, floors in pruned.items() if floors}
