"""The commands and the script of docs/browser.md. Its page is tried in tests/browser."""

import json
import shlex
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.examples.conftest import READER, Described
from tests.node import node
from tests.pages import ROOT, examples, served

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.timeout(300)]

PAGE = examples("docs/browser.md")
SERVER = "http://127.0.0.1:8000"
# What the script calls `auth`, `say` and `mark`, and somebody who signs in several times.
AROUND = """
import {{ createClient }} from "{module}";

const [url, nowhere] = process.argv.slice(2);
const said = [];
const say = (text) => said.push(text);
const mark = (field, message) => said.push(`${{field}}: ${{message}}`);
const limited = {{
  login() {{ throw new AuthwardError("rate_limited", 429, "Too many", {{ retryAfter: 7 }}); }},
}};
const broken = {{ login() {{ throw new TypeError("a mistake of the page"); }} }};
const api = createClient({{ baseUrl: url }});
for (const [auth, email, password] of [
  [api, "nobody@example.com", "long walks by the river"],
  [api, "", ""],
  [limited],
  [createClient({{ baseUrl: nowhere }}), "a@example.com", "b"],
  [broken],
]) {{
  await (async () => {{ {script} }})().catch((error) => said.push(error.name));
}}
console.log(JSON.stringify(said));
process.exit();
"""


def test_the_page_is_served_and_may_call_the_api(described: Described, tmp_path: Path) -> None:
    files, api = PAGE["Try it sh"].splitlines()
    (tmp_path / "index.html").write_text(PAGE["Try it html"], encoding="utf-8")
    port = f" {httpx2.URL(READER).port} "
    assert port in files
    script = f"export PYTHONUNBUFFERED=1; exec {files.replace(port, ' 0 ')}"
    with served(script, tmp_path) as url:
        assert httpx2.get(url).text == PAGE["Try it html"]
    assert shlex.split(api, comments=True) == [f"AUTHWARD_ORIGINS={READER}", "make", "serve"]
    origin = {"origin": READER}
    for path in ("/authward.js", "/api/public-data"):
        answer = described.client.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == READER
    # Where `make serve` serves, and the page looks.
    assert f"on {SERVER} " in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f'from "{SERVER}/authward.js"' in PAGE["Try it html"]
    assert f'baseUrl: "{SERVER}"' in PAGE["Try it html"]


def test_what_it_says_of_errors(described: Described, tmp_path: Path) -> None:
    first, _, script = PAGE["The calls js"].partition("\n")
    module = (ROOT / "clients/js/authward.js").as_uri()
    around = AROUND.format(module=module, script=script)
    assert f"{SERVER}/authward.js" in first
    page = tmp_path / "page.mjs"
    page.write_text(first.replace(f"{SERVER}/authward.js", module) + around, encoding="utf-8")
    done = subprocess.run(
        [node(), str(page), described.url, "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    wrong, *fields, limited, unreached, mistake = json.loads(done.stdout)
    assert wrong == "E-mail or password is wrong."
    assert {one.partition(": ")[0] for one in fields} == {"email", "password"}
    assert limited == "Try again in 7 seconds."
    assert unreached not in ("", wrong, limited)
    assert mistake == "TypeError"
