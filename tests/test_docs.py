"""Documentation is part of a change: what has a name for others has its line in docs/."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

import authward
from authward import Authward, Refusal, Settings, errors
from authward.cli import main
from authward.clock import SystemClock
from authward.core.events import EVENT_KINDS
from authward.http.parse import validated
from authward.http.routes import ENDPOINTS
from authward.ui.pages import api_routes, module_route
from tests.http.talking import talking

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ALL_PAGES = [*PAGES, *sorted(ROOT.glob("*.md"))]
# Names of modules that an app imports from. A module that states __all__ means it.
MODULES = {
    "authward": authward.__all__,
    "authward.fastapi": [],
    "authward.middleware": [],
    "authward.starlette": ["authenticate", "authorize", "principal", "public", "require"],
    "authward.testing": [],
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def code_words() -> set[str]:
    """Every word in code, in any page of docs/."""
    found: set[str] = set()
    for one in PAGES:
        text = one.read_text(encoding="utf-8")
        code = re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
        found.update(*(re.findall(r"\w+", part) for part in code))
    return found


def table_rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def sections(text: str) -> dict[str, str]:
    """The text below each heading, up to the next one of any kind."""
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# --- names ----------------------------------------------------------------------------------


def test_every_public_name_is_documented():
    words = code_words()
    for module, names in MODULES.items():
        stated = getattr(importlib.import_module(module), "__all__", names)
        assert set(stated) >= set(names)
        assert [name for name in stated if name not in words] == []


def test_everything_an_authward_can_do_is_documented():
    names = [name for name in dir(Authward) if not name.startswith("_")]
    assert [name for name in names if f"auth.{name}" not in page("python.md")] == []
    fields = list(inspect.signature(authward.Principal).parameters)
    assert [name for name in fields if f"`{name}`" not in page("python.md")] == []


def test_every_setting_is_documented_and_no_other():
    rows = {row[0] for row in table_rows(page("settings.md")) if row[0] != "setting"}
    assert rows == {f"`AUTHWARD_{name.upper()}`" for name in Settings.model_fields}


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


def test_every_command_and_option_is_documented():
    text = page("commands.md")
    for path, command in commands(main, "authward"):
        assert re.search(rf"^{path}\b", text, re.MULTILINE), f"{path} is missing"
        options = [one for one in command.params if isinstance(one, click.Option)]
        named = [name for one in options for name in (*one.opts, *one.secondary_opts)]
        assert [name for name in named if name.startswith("--") and name not in text] == [], path


# --- events and metrics -----------------------------------------------------------------------


def test_every_kind_of_event_is_documented_with_its_detail_and_no_other():
    rows = table_rows(sections(page("events.md"))["Every kind"])
    stated = {row[0].strip("`"): row for row in rows if row[0] != "kind"}
    assert list(stated) == sorted(stated)
    assert stated.keys() == EVENT_KINDS.keys()
    for kind, (_, when, *detail) in stated.items():
        assert len(when) > 10
        names = tuple(re.findall(r"`(\w+)`", "".join(detail)))
        assert names == EVENT_KINDS[kind], kind


def test_every_field_of_an_event_is_documented():
    rows = list(table_rows(sections(page("events.md"))["Events"]))
    stated = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    fields = list(inspect.signature(authward.AuthEvent).parameters)
    assert sorted(stated) == sorted([*fields, "AuthEvent"])


async def test_every_metric_is_documented_and_no_other(sqlite_url: str):
    async with talking(sqlite_url) as api:
        text = api.auth.services.metrics.text().decode()
    found = {name: kind for _, _, name, kind in map(str.split, re.findall("# TYPE .*", text))}
    rows = table_rows(sections(page("operations.md"))["Metrics"])
    stated = {row[0].strip("`"): row[1] for row in rows if row[0] != "metric"}
    assert stated == found


# --- routes and errors ------------------------------------------------------------------------


def test_every_route_is_documented_with_what_it_needs_and_refuses():
    found = sections(page("api.md"))
    stated = {title.strip("`") for title in found if title.startswith("`")}
    assert stated == {f"{one.method} {one.path}" for one in ENDPOINTS}
    for one in ENDPOINTS:
        text = found[f"`{one.method} {one.path}`"]
        codes = [kind.code for kind in one.errors]
        needed = [f"`{name}`" for name in (*codes, one.permission) if name]
        assert [name for name in needed if name not in text] == [], one.path
        assert str(one.status) in text, one.path
        for model in (one.body, one.query):
            for name in model.model_json_schema()["properties"] if model else ():
                assert f"`{name}`" in text, (one.path, name)


def test_every_file_that_is_served_is_documented():
    clock = SystemClock()
    for route in (module_route(clock), *api_routes(clock, production=False)):
        assert f"`{route.path}`" in page("api.md")


def kinds(root: type[Refusal]) -> Iterator[type[Refusal]]:
    for one in root.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
            yield from kinds(one)


def test_every_error_code_is_documented_under_its_status_and_no_other():
    codes = {one.code: one.status for one in kinds(Refusal) if one is not errors.Unauthorized}
    stated: dict[str, int] = {}
    for title, text in sections(page("errors.md")).items():
        statuses = re.findall(r"\b[45]\d\d\b", title)
        for row in table_rows(text) if statuses else ():
            if row[0] != "error":
                told = re.match(r"(\d{3})\.", row[1])
                stated[row[0].strip("`")] = int(told[1] if told else statuses[0])
    assert stated == codes


BAD: list[Any] = [
    None, True, 7, 1.5, "", "a\0", "a\n", "\ud800", "x" * 2000, [], {}, "0", "101", "one",
    "9" * 5000,
]  # fmt: skip


def test_every_code_of_a_wrong_field_is_documented():
    stated = set(re.findall(r"`(\w+)`", page("errors.md")))
    found: set[str] = set()
    for one in ENDPOINTS:
        for bad in BAD:
            found |= set() if one.body is None else codes_of(one.body, bad)
            if one.query is not None and isinstance(bad, str):
                found |= codes_of(one.query, dict.fromkeys(one.query.model_fields, bad))
    assert found > {"missing", "string_type", "nul_character", "int_parsing"}
    assert found - stated == set()


def codes_of(model: type[BaseModel], bad: Any) -> set[str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    codes: set[str] = set()
    for value in (bad, dict.fromkeys(names, bad)):
        try:
            validated(model, value)
        except errors.ValidationError as refusal:
            codes |= {detail.code for detail in refusal.details}
    return codes


# --- dependencies -----------------------------------------------------------------------------


def test_every_dependency_has_its_reason_and_every_reason_its_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    tools = (ROOT / "requirements/dev.in").read_text(encoding="utf-8").splitlines()
    wanted = [*project["dependencies"], *extras, *(one for one in tools if one[:1] not in "#-")]
    named = {found[0] for one in wanted if (found := re.match(r"[\w.-]+", one))}
    rows = {row[0].strip("`"): row[1] for row in table_rows(page("dependencies.md"))}
    rows.pop("package")
    assert rows.keys() == named
    assert all(len(reason) > 10 for reason in rows.values())


def test_a_checkout_has_what_the_extras_bring():
    """`make serve` serves PostgreSQL and Redis with nothing added."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    runtime = (ROOT / "requirements/runtime.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==", runtime, re.MULTILINE))
    wanted = {one.partition(">")[0] for one in extras}
    assert {"asyncpg", "redis"} <= wanted <= pinned


# --- the pages themselves ---------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("one", ALL_PAGES, ids=lambda one: one.name)
def test_links_lead_somewhere(one: Path):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", one.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (one.parent / path).resolve() if path else one
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", page("index.md")))
    assert linked == {one.name for one in PAGES} - {"index.md"}


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_examples_can_be_read(one: Path):
    text = one.read_text(encoding="utf-8")
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        json.loads(block)
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(block)


def test_each_promise_names_tests_that_there_are():
    named = re.findall(r"`([\w/]+\.py)`", page("security.md"))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


# --- words that stay out ----------------------------------------------------------------------

STRANGE = {
    "a path of one machine": re.compile(r"(?:^|[\s\"'`(=:])/(?:home|root|Users|work)/\w", re.M),
    "a path out of the repository": re.compile(r"\.\./[s]hared\b"),
    "a conflict": re.compile(r"^(?:<{7}|>{7}) ", re.M),
}
NO_ADDRESS = ("requirements/", "clients/js/package-lock.json")


def files() -> Iterator[tuple[str, str]]:
    """The text files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("git is missing; it comes with: apt-get install git")
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_each_fault_of_others_that_a_test_is_about_is_listed_and_no_other():
    about = {
        one
        for path in (ROOT / "tests").glob("attacks/test_*.py")
        for one in re.findall(r"CVE-\d+-\d+", path.read_text(encoding="utf-8"))
    }
    assert set(re.findall(r"CVE-\d+-\d+", page("security.md"))) == about


def test_nothing_strange_is_in_the_repository():
    found = []
    for name, text in files():
        found += [f"{name}: {what}" for what, one in STRANGE.items() if one.search(text)]
        if name.startswith(NO_ADDRESS) and "://" in text:
            found.append(f"{name}: an address; lock files name packages and hashes alone")
    assert found == []
