"""The grammar of the command line: fixed commands, the plugins' commands, and one command per operation. It runs nothing."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from gesso.cli.options import add_parameters
from gesso.errors import UsageError

if TYPE_CHECKING:
    from gesso.cli.schema import OperationSchema, Surface

DESCRIPTION = "Gesso generates images for the creative tools on your desk: one local daemon owns the GPU, every tool asks it."
REMOTE = (
    ("--address", "GESSO_ADDRESS", "tcp://HOST:PORT", "use the daemon there"),
    ("--daemon-key", "GESSO_DAEMON_KEY", "KEY", "its public key"),
    ("--key", "GESSO_KEY", "NAME", "which key of yours to use (default: default)"),
)
"""Options that say which daemon is meant, as environment variables that every client reads."""
EPILOGUE = """exit codes: 0 done, 1 failed or unreachable, 2 usage or invalid value, 130 cancelled
state lies under GESSO_HOME where that is set; `gesso doctor` finds what is wrong"""


@cache
def _width() -> int:
    return shutil.get_terminal_size().columns - 2


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Argparse makes one for every option that is added; asking the terminal each time would be a tenth of the start."""
    return argparse.RawDescriptionHelpFormatter(prog, width=_width())


class Parser(argparse.ArgumentParser):
    """argparse that raises its complaints, so that they are reported like every other error, and takes no abbreviations."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_formatter, **keywords)

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        unknown = re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)$", message, re.DOTALL)
        if unknown is not None:
            raise _no_such_command(unknown[1], re.findall(r"'([^']+)'", unknown[2]), self.prog)
        if message.startswith("unrecognized arguments"):
            message += " (text of several words goes in quotes)"
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", hint=f"See `{self.prog} --help`.")


def _no_such_command(name: str, known: list[str], prog: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"`{prog}` has no command {name!r}.", hint=f"{hint}See `{prog} --help`.")


Commands = Callable[..., argparse.ArgumentParser]


def build(surface: Surface, words: Sequence[str] | None = None) -> Parser:
    """The whole grammar. Every command names its handler as ``module:function``; that module is imported only when it runs.

    ``words``: what was typed; the options of operations that are not among them, hundreds of them, are then left out.
    """
    parser = Parser(prog="gesso", description=DESCRIPTION, epilog=EPILOGUE)
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text (every command takes it)")
    _add_remote(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=Parser)

    def add(name: str, handler: str, text: str, group: Any = commands, alias: str = "") -> argparse.ArgumentParser:
        aliases = [alias] if alias else []
        command: argparse.ArgumentParser = group.add_parser(name, aliases=aliases, help=text, description=_sentence(text))
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on standard output")
        command.set_defaults(handler=handler)
        return command

    def group(name: str, text: str) -> Commands:
        parent = commands.add_parser(name, help=text, description=_sentence(text))
        parent.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parent.set_defaults(handler="gesso.cli.app:incomplete", group=name)
        inner = parent.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
        return lambda name, handler, text, alias="": add(name, handler, text, inner, alias)

    for operation in surface.operations.values():
        command = add(operation.name, "gesso.cli.generate:run", operation.summary or operation.title)
        if words is None or operation.name in words:
            _add_operation(command, operation)
    _add_daemon(add)
    _add_listings(add, group)
    _add_jobs(group)
    _add_state(add)
    _add_config(group("config", "settings: list, get, set"))
    _add_keys(group)
    _add_pictures(add)
    _add_commands(commands, group, surface.catalogues.get("commands", ()))
    return parser


def _add_commands(commands: Any, group: Callable[[str, str], Commands], entries: Sequence[Mapping[str, str]]) -> None:
    """The plugins' commands. They are routed by their words before parsing; they stand here so that `--help` lists them."""
    groups: dict[str, Commands] = {}
    alone = {entry["name"] for entry in entries if " " not in entry["name"]}
    for entry in entries:
        first, _, rest = entry["name"].partition(" ")
        text = entry["help"].replace("%", "%%")
        if not rest:
            commands.add_parser(first, help=text, add_help=False)
            continue
        if first in alone:
            continue
        if first not in groups:
            names = ", ".join(other["name"].partition(" ")[2] for other in entries if other["name"].startswith(f"{first} "))
            groups[first] = group(first, f"{first}: {names}")
        groups[first](rest, "gesso.cli.app:incomplete", text)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _add_operation(command: argparse.ArgumentParser, operation: OperationSchema) -> None:
    add_parameters(command, operation)
    job = command.add_argument_group("the job")
    add_output(job)
    job.add_argument(
        "--level", choices=("exact", "fast"), default=None, help="exact: equal bytes every time (default); fast: may share work"
    )
    job.add_argument(
        "--from", dest="source", metavar="PNG", default=None, help="start from the job inside this picture; what is typed here goes over it"
    )
    job.add_argument(
        "--format", metavar="NAME", default=None, help="png, webp, tiff, exr or a plugin's; default: as --output ends, else png"
    )
    add_detach(job)
    command.set_defaults(operation=operation.name)


def add_detach(parser: Any) -> None:
    """Leave at once; shared by operations and `jobs retry`."""
    parser.add_argument("--detach", action="store_true", help="print the job's id and leave; `gesso jobs result` writes the pictures later")


def add_output(parser: Any) -> None:
    """Where pictures go; shared by operations, `jobs wait`, `jobs result`, `jobs retry` and `demo`."""
    parser.add_argument(
        "-o", "--output", metavar="PATH", default=None, help="a folder (existing, or ending in a slash) or a file name; default: here"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")
    parser.add_argument("--credentials", action="store_true", help="sign PNG files with C2PA content credentials of this Gesso")
    parser.add_argument(
        "--pattern", metavar="TEXT", default=None, help="file names in a folder (default: {slug}-{seed}-{n}); also {operation}"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _add_daemon(add: Commands) -> None:
    serve = add("serve", "gesso.cli.daemon:serve", "run the daemon")
    serve.add_argument("--detach", action="store_true", help="leave it running in the background")
    serve.add_argument("--device", metavar="NAME", default=None, help="the setting worker.device: auto, cpu, cuda or cuda:N")
    serve.add_argument("--tcp", action="store_true", help="listen on loopback TCP as well, secured by a token")
    serve.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting for this daemon; may be repeated")
    serve.add_argument(
        "--listen", metavar="tcp://HOST:PORT", default=None, help="listen to other machines as well, for the keys of `gesso keys authorize`"
    )
    add("status", "gesso.cli.daemon:status", "show what the daemon is doing")
    stop = add("stop", "gesso.cli.daemon:stop", "stop the daemon; jobs that are not done go on at the next start")
    stop.add_argument("--drain", action="store_true", help="let the jobs that run come to their end first")
    add("suspend", "gesso.cli.daemon:suspend", "give the device to another program: jobs stand, weights leave")
    add("resume", "gesso.cli.daemon:resume", "take the device back; jobs go on")
    add("doctor", "gesso.cli.doctor:run", "check this installation and say how to mend what is wrong")


def _add_state(add: Commands) -> None:
    uninstall = add("uninstall", "gesso.cli.uninstall:run", "list, then remove everything that Gesso keeps for you")
    uninstall.add_argument("--yes", action="store_true", help="remove it without asking")
    uninstall.add_argument("--dry-run", action="store_true", help="only list")
    uninstall.add_argument("--keep-models", action="store_true", help="leave the models that you added")
    logs = add("logs", "gesso.cli.logs:run", "show the log of daemon and worker")
    logs.add_argument("job", metavar="JOB", nargs="?", default=None, help="only lines about this job")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until Ctrl-C")
    logs.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="how many of the newest lines (default: 100)")
    logs.add_argument("--level", choices=("debug", "info", "warning", "error"), default="debug", help="only lines at least this grave")
    storage = add("storage", "gesso.cli.storage:run", "show what lies where, how much it takes, what caps it; set that")
    storage.add_argument("--limit", metavar="SIZE", default=None, help="set what pictures may take, such as 40GiB (storage.limit)")
    storage.add_argument("--keep", metavar="DURATION", default=None, help="set how long jobs are kept, such as 30d or never (storage.keep)")


def _add_config(config: Commands) -> None:
    config("list", "gesso.cli.config:listing", "list every setting, its value and where that comes from")
    config("get", "gesso.cli.config:get", "print one setting").add_argument("key", metavar="KEY")
    assign = config("set", "gesso.cli.config:assign", "write one setting into config.toml")
    assign.add_argument("key", metavar="KEY")
    assign.add_argument("value", metavar="VALUE")
    config("unset", "gesso.cli.config:unset", "take one setting out of config.toml").add_argument("key", metavar="KEY")


def _add_remote(parser: Parser) -> None:
    remote = parser.add_argument_group("a daemon on another machine (these stand before the command)")
    for flag, variable, metavar, text in REMOTE:
        remote.add_argument(flag, dest=variable, metavar=metavar, default=None, help=f"{text}; {variable} sets it too")


def _add_keys(group: Callable[[str, str], Commands]) -> None:
    keys = group("keys", "keys with which daemons are reached from other machines")
    keys("new", "gesso.cli.keys:new", "make a key of yours and print its public half").add_argument(
        "name", metavar="NAME", nargs="?", default="default", help="what to call it (default: default)"
    )
    let_in = keys("authorize", "gesso.cli.keys:authorize", "let a key reach this daemon")
    let_in.add_argument("name", metavar="NAME", help="what to call it")
    let_in.add_argument("key", metavar="KEY", help="its public half, 64 hexadecimal digits")
    keys("list", "gesso.cli.keys:listing", "list the daemon's key, yours, and those that may come in")
    keys("revoke", "gesso.cli.keys:revoke", "let a key in no more, and end its connections").add_argument("name", metavar="NAME|KEY")


def _add_listings(add: Commands, group: Callable[[str, str], Commands]) -> None:
    _add_models(group("models", "models: list, add, look at, remove"))
    _add_plugins(group("plugins", "plugins and what they provide"))
    add("samplers", "gesso.cli.listings:samplers", "list the samplers")
    add("schedules", "gesso.cli.listings:schedules", "list the noise schedules")
    add("guidances", "gesso.cli.listings:guidances", "list the guidances")
    add("scorers", "gesso.cli.listings:scorers", "list the scorers")
    add("upscalers", "gesso.cli.listings:upscalers", "list the upscalers")
    add("filters", "gesso.cli.listings:filters", "list what looks at requests and results")
    _add_styles(group("styles", "styles for --style-preset: list, import, export"))


def _add_models(models: Commands) -> None:
    kinds = "checkpoint, vae, lora, controlnet, embedding, upscaler ..."
    models("list", "gesso.cli.models:listing", "list the models of every kind").add_argument(
        "--kind", metavar="KIND", default=None, help=f"only this kind: {kinds}"
    )
    added = models("add", "gesso.cli.models:add", "take a model, or all models below a folder, into the list where they lie")
    added.add_argument("path", metavar="PATH", help="a .safetensors file, a diffusers directory, or a folder of them (ComfyUI, A1111 ...)")
    added.add_argument("--name", metavar="NAME", default=None, help="what requests call it (default: made of the file's name)")
    added.add_argument("--family", metavar="NAME", default=None, help="the family that runs it, where Gesso cannot tell")
    added.add_argument("--kind", metavar="KIND", default=None, help=f"what it is, where Gesso cannot tell; of a folder: only {kinds}")
    pulled = models("pull", "gesso.cli.pulling:pull", "fetch a model from a Hugging Face hub and list it; goes on where it stopped")
    pulled.add_argument("repo", metavar="NAME|OWNER/NAME", nargs="?", default=None, help="without one: the names there are")
    pulled.add_argument("--revision", metavar="REV", default=None, help="a branch, tag or commit (default: main as it is now)")
    pulled.add_argument("--file", metavar="FILE", default=None, help="one file, where the hub has several models under the name")
    pulled.add_argument("--variant", metavar="NAME", default=None, help="weights of this variant where there are such, as fp16")
    pulled.add_argument("--name", metavar="NAME", default=None, help="what requests call it (default: made of the hub's name)")
    pulled.add_argument("--family", metavar="NAME", default=None, help="the family that runs it, where Gesso cannot tell")
    told = models("info", "gesso.cli.models:info", "show what a model's files tell of it")
    told.add_argument("name", metavar="NAME|PATH")
    told.add_argument("--hash", action="store_true", help="also the hashes that other tools show; reads the whole file once")
    removed = models("remove", "gesso.cli.models:remove", "take models off the list; their files stay")
    removed.add_argument("names", metavar="NAME", nargs="+")
    unloaded = models("unload", "gesso.cli.daemon:unload", "let weights leave the device; a job that needs them loads them again")
    unloaded.add_argument("name", metavar="NAME", nargs="?", default=None, help="one model (default: all)")
    chosen = models("default", "gesso.cli.models:default", "show or set the model that is taken where a request names none")
    chosen.add_argument("name", metavar="NAME", nargs="?", default=None)
    chosen.add_argument("--reset", action="store_true", help="have no default")


def _add_styles(styles: Commands) -> None:
    styles("list", "gesso.cli.listings:styles", "list the styles")
    taken = styles("import", "gesso.cli.styles:take_in", "take styles in from a TOML or JSON file")
    taken.add_argument(
        "file", metavar="FILE", help="frosty.toml gives styles called frosty.NAME; `gesso plugins remove frosty` takes them away"
    )
    given = styles("export", "gesso.cli.styles:export", "write styles to a TOML or JSON file")
    given.add_argument("names", metavar="NAME", nargs="*", help="which (default: all)")
    given.add_argument("-o", "--output", metavar="FILE", required=True, help="a .toml or .json file")
    given.add_argument("--force", action="store_true", help="overwrite the file")


def _add_plugins(plugins: Commands) -> None:
    plugins("list", "gesso.cli.plugins:listing", "list the plugins and whether they are on")
    plugins("add", "gesso.cli.plugins:add", "check a single file, take it in and turn it on").add_argument("file", metavar="FILE.py")
    for name, text in (
        ("info", "show everything that is known of a plugin"),
        ("enable", "check a plugin, record its version and content, and turn it on"),
        ("disable", "turn a plugin off"),
        ("remove", "forget a plugin; a single file is deleted"),
    ):
        plugins(name, f"gesso.cli.plugins:{name}", text).add_argument("name", metavar="NAME")
    looked = plugins("check", "gesso.cli.plugins:check", "look at a plugin or a file in a process of its own; nothing is changed")
    looked.add_argument("target", metavar="NAME|FILE.py")
    plugins("reload", "gesso.cli.plugins:reload", "make running daemons import the plugins again")
    project = plugins("new", "gesso.cli.scaffold:new", "write a complete project for a plugin of your own")
    project.add_argument("name", metavar="NAME")
    project.add_argument("--kind", choices=("sampler", "operation", "family", "reranker"), required=True, help="what it is to provide")
    project.add_argument("-o", "--output", metavar="FOLDER", default=None, help="where it goes (default: gesso-NAME)")
    plugins("compile", "gesso.cli.listings:compile_schemas", "write the compiled schema file from the plugins that ship with Gesso")


def _add_jobs(group: Callable[[str, str], Commands]) -> None:
    jobs = group("jobs", "jobs of this daemon: list, show, wait, result, cancel, pause, resume, priority, retry, forget, pin")
    listing = jobs("list", "gesso.cli.jobs:listing", "list the newest jobs")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)")
    listing.add_argument("--state", action="append", default=None, metavar="STATE", help="only jobs in this state; may be repeated")
    for name, text, writes in (
        ("show", "show one job", False),
        ("wait", "wait for a job, then write its pictures where -o says so", True),
        ("result", "write the pictures of a job that is done", True),
        ("cancel", "cancel a job", False),
        ("retry", "make a new job from the request of one that has ended", True),
    ):
        command = jobs(name, f"gesso.cli.jobs:{name}", text, alias="fetch" if name == "result" else "")
        command.add_argument("job", metavar="ID")
        if writes:
            add_output(command)
        if name == "retry":
            add_detach(command)
    urgency = jobs("priority", "gesso.cli.jobs:priority", "let a job go before others, or after them")
    urgency.add_argument("job", metavar="ID")
    urgency.add_argument("priority", choices=("interactive", "batch"), help="interactive ones go before all of batch")
    for name, text in (
        ("pause", "let jobs stand from their next step on; they keep their place"),
        ("resume", "let paused jobs go on where they stand"),
        ("forget", "remove jobs that have ended, with the pictures that no other job names"),
        ("pin", "keep jobs and their pictures whatever their age and the room they take"),
        ("unpin", "let pinned jobs go when their time has come"),
    ):
        jobs(name, f"gesso.cli.jobs:{name}", text).add_argument("jobs", metavar="ID", nargs="+")


def _add_pictures(add: Commands) -> None:
    show = add("show", "gesso.cli.listings:show", "print how pictures were made")
    show.add_argument("pictures", metavar="PNG", nargs="+")
    verify = add("verify", "gesso.cli.verify:run", "make pictures again from their recipes and compare the bytes")
    verify.add_argument("pictures", metavar="PNG", nargs="+")
    verify.add_argument("--quiet", action="store_true", help="no progress")
    search = add("search", "gesso.cli.search:run", "find pictures of the history by words, or by a picture")
    search.add_argument("words", metavar="WORDS", nargs="*", help="what they show")
    search.add_argument("--like", metavar="IMAGE", default=None, help="find what is like this picture")
    search.add_argument("--limit", metavar="N", type=int, default=10, help="how many are found (default: 10)")
    search.add_argument("--model", metavar="NAME", default=None, help="the model that compares, by default the first that can")
    search.add_argument("-o", "--output", metavar="FOLDER", default=None, help="write them into this folder")
    search.add_argument("--force", action="store_true", help="overwrite files that exist")
    search.add_argument("--quiet", action="store_true", help="no progress")
    demo = add("demo", "gesso.cli.demo:run", "make three textures and show where they are")
    demo.add_argument("-o", "--output", metavar="FOLDER", default="gesso-demo", help="where they go (default: gesso-demo)")
    demo.add_argument("--no-open", dest="open", action="store_false", help="do not open the folder")
    demo.add_argument("--quiet", action="store_true", help="no progress")
