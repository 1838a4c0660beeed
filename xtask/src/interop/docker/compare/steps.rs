//! The commands that are compared.

/// A docker command to compare.
#[derive(Debug)]
pub(super) struct Step {
    /// The arguments; `REGISTRY` stands for the registry's address.
    pub(super) line: &'static str,
    pub(super) look: Look,
    /// The reason of a deliberate difference.
    pub(super) differs: Option<&'static str>,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// The exit code and both outputs.
    All,
    /// The exit code and both outputs, ignoring the order of lines.
    Sorted,
    /// The exit code.
    Status,
    /// The exit code and the output in a terminal in which these keys are typed.
    Terminal(&'static str),
    /// The exit code and the output in a terminal that is resized to these rows and columns.
    Resized(u16, u16),
}

const fn all(line: &'static str) -> Step {
    Step {
        line,
        look: Look::All,
        differs: None,
    }
}

const fn sorted(line: &'static str) -> Step {
    Step {
        line,
        look: Look::Sorted,
        differs: None,
    }
}

const fn status(line: &'static str) -> Step {
    Step {
        line,
        look: Look::Status,
        differs: None,
    }
}

const fn terminal(line: &'static str, keys: &'static str) -> Step {
    Step {
        line,
        look: Look::Terminal(keys),
        differs: None,
    }
}

const fn resized(line: &'static str, rows: u16, columns: u16) -> Step {
    Step {
        line,
        look: Look::Resized(rows, columns),
        differs: None,
    }
}

const fn differs(line: &'static str, reason: &'static str) -> Step {
    Step {
        line,
        look: Look::All,
        differs: Some(reason),
    }
}

// The reasons, as in the front end's README.
const OLD_MESSAGES: &str = "Debian's engine is older than the docker command, and the messages of \
                            some errors have changed since";
const NO_RUNC: &str = "a process that cannot be launched is reported without the names of the \
                       programs that the engine runs for it";
const NOT_FIRST: &str = "the first process of a machine is its agent, not the container's process";
const DISK: &str = "a host merges an image's layers into one disk, whose size is shown, and only the \
                    image itself is reported as deleted";
const REFUSED: &str = "unsupported commands and options are refused by name";
const ADDRESSES: &str = "a stopped container keeps its address";
const ISOLATED: &str = "on the simulator, containers reach each other by address only: names are \
                        not resolved";
const NAMED: &str = "errors about networks and addresses name the object and the value";
const NAMES: &str = "networks' names are lower-case letters, digits, `_`, `.` and `-`";
const CHOSEN: &str = "addresses can be chosen on every network";
const ONE_FAMILY: &str = "a port without an address is published for IPv4 only";
const LIMITS: &str = "limits are those of machines";
const REGISTRY: &str = "a registry that cannot be reached is named with the reason";
const ALL_SET: &str = "`inspect` shows the variables and the signal that the process gets";
const AT_CREATE: &str = "a network that does not exist is refused when the container is created or \
                         connected";
const GROUPS: &str = "a process has no supplementary groups but those of its user";

/// The scripts. Each restores the engine's initial state.
pub(super) const SCRIPTS: &[(&str, &[Step])] = &[
    ("images", IMAGES),
    ("pull", PULL),
    ("run", RUN),
    ("life", LIFE),
    ("ps and inspect", LIST),
    ("logs", LOGS),
    ("terminals", TERMINALS),
    ("networks", NETWORKS),
    ("ports", PORTS),
    ("prune", PRUNE),
    ("errors", ERRORS),
];

const IMAGES: &[Step] = &[
    all("images --format '{{.Repository}} {{.Tag}}'"),
    differs("images", DISK),
    all("images -q"),
    differs("images --no-trunc --digests box", DISK),
    all("images nosuch"),
    all("tag box other:1"),
    all("images --filter reference=other --format '{{.Repository}}:{{.Tag}}'"),
    all("images --filter dangling=true -q"),
    all(
        "image inspect --format '{{.RepoTags}} {{.Config.Cmd}} {{.Config.Env}} {{.Os}} {{.Architecture}}' other:1",
    ),
    all(
        "image inspect --format '{{.Id}} {{.RepoDigests}} {{.Parent}} {{.Author}} {{len .RootFS.Layers}} {{.RootFS.Type}}' box",
    ),
    all("history --format '{{.ID}} {{.CreatedSince}} {{.CreatedBy}} {{.Comment}}' box"),
    all("rmi other:1"),
    all("tag box 127.0.0.1:5000/a/b:c.d"),
    all("images --format '{{.Repository}} {{.Tag}}' 127.0.0.1:5000/a/b"),
    all("image rm 127.0.0.1:5000/a/b:c.d"),
    all("image ls --filter since=nosuch"),
    all("image ls --filter since=box -q"),
    all("create --name user box"),
    all("rmi box"),
    all("tag box second"),
    all("rmi second"),
    all("rm user"),
    differs("image inspect nosuch", OLD_MESSAGES),
    differs("inspect --type image nosuch", OLD_MESSAGES),
];

const PULL: &[Step] = &[
    all("pull REGISTRY/hello:1"),
    all("pull REGISTRY/hello:1"),
    all("pull -q REGISTRY/hello:1"),
    all("run --rm REGISTRY/hello:1"),
    all("images --format '{{.Repository}}:{{.Tag}}' REGISTRY/hello"),
    all(
        "image inspect --format '{{.Config.Cmd}} {{len .RepoDigests}} {{len .RootFS.Layers}}' REGISTRY/hello:1",
    ),
    all("history --format '{{.CreatedBy}}' REGISTRY/hello:1"),
    differs("rmi REGISTRY/hello:1", DISK),
    all("run --rm REGISTRY/hello:1"),
    differs("rmi -f REGISTRY/hello:1", DISK),
    all("pull REGISTRY/hello:2"),
    all("pull REGISTRY/nosuch"),
    differs("pull -a REGISTRY/hello", REFUSED),
    all("run --rm --pull never REGISTRY/hello:3"),
    all("run --rm REGISTRY/hello:3"),
    differs("pull 127.0.0.1:1/a", REGISTRY),
    all("pull Upper"),
    differs("rmi REGISTRY/hello:1", DISK),
];

const RUN: &[Step] = &[
    all("run --rm box echo a b"),
    all("run --rm box sh -c 'echo out; echo err >&2; exit 7'"),
    differs("run --rm box sh -c 'kill -9 $$'", NOT_FIRST),
    differs("run --rm box nosuch", NO_RUNC),
    differs("run --rm box /bin/nosuch", NO_RUNC),
    differs("run --rm box /etc", NO_RUNC),
    differs("run --rm box /etc/passwd", NO_RUNC),
    all("run --rm -w /new/folder box pwd"),
    sorted("run --rm -e A=1 -e B -e C= -h name box env"),
    all("run --rm box hostname"),
    all("run --rm -h given box sh -c 'grep -c given /etc/hosts'"),
    differs("run --rm -u 5:6 box id", GROUPS),
    differs("run --rm -u nosuch box id", NO_RUNC),
    all("run --rm --entrypoint '' box echo z"),
    all("run --rm -i box cat"),
    all("run --rm -a stderr box sh -c 'echo out; echo err >&2'"),
    all("run --rm --stop-signal NOSUCH box true"),
    differs("run --rm box sh -c 'echo $$'", NOT_FIRST),
    all("run --rm box sh -c 'dd if=/dev/zero bs=1k count=300 2>/dev/null | tr \"\\0\" x | wc -c'"),
    all("run -d --name back box sleep 100"),
    all("ps --format '{{.Names}} {{.Image}} {{.Command}} {{.Status}} {{.Ports}}'"),
    all("run --name back box true"),
    all("rm -f back"),
    all("ps -aq"),
    all("run --cidfile /dev/null box true"),
    all("run --rm --name a%b box true"),
    all("run --rm -w here box true"),
    all("run --rm -m 1m box true"),
    all("run --rm --network nosuch box true"),
    differs("run --rm --cpus 1000 box true", LIMITS),
    all("run --rm -e =x box true"),
    all("run --rm --pull never nosuch:1"),
    differs("run --rm box ''", NO_RUNC),
    all("ps -aq"),
];

const LIFE: &[Step] = &[
    all("create --name life box sleep 100"),
    all("ps -a --format '{{.Names}} {{.Status}}'"),
    all("kill life"),
    all("stop life"),
    all("pause life"),
    all("unpause life"),
    all("start life"),
    all("start life"),
    differs("rm life", OLD_MESSAGES),
    all("unpause life"),
    all("kill -s NOSUCH life"),
    all("kill -s 0 life"),
    all("rename life life"),
    all("rename life b@d"),
    all("rename life other"),
    all(
        "inspect --format '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.Name}}' other",
    ),
    all("stop -t 1 other"),
    all(
        "inspect --format '{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.Error}}' other",
    ),
    differs("wait other", NOT_FIRST),
    all("restart -t 1 other"),
    all("kill other"),
    all("wait other"),
    all("inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' other"),
    all("kill other"),
    all("start -a other nosuch"),
    all("rm other"),
    all("create --name ends box sh -c 'echo said; exit 3'"),
    all("start -a ends"),
    all("start ends"),
    all("wait ends"),
    all("logs ends"),
    all("rm ends"),
    all("create --name term box sh -c 'trap \"exit 5\" TERM; while :; do sleep 0.1; done'"),
    all("start term"),
    all("stop term"),
    status("wait term"),
    all("rm -f term"),
    all("create --name never box /bin/nosuch"),
    differs("start never", NO_RUNC),
    all("ps -a --format '{{.Names}} {{.Status}}' --filter name=never"),
    differs(
        "inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' never",
        NO_RUNC,
    ),
    all("rm never"),
    all("rm nosuch"),
    all("rm -f nosuch"),
];

const LIST: &[Step] = &[
    all("run -d --name up -l a=b -l c box sleep 100"),
    all("run --name down box sh -c 'exit 3'"),
    all(
        "create --name new -e A=1 -w /tmp -h host -u 5 --stop-signal INT --expose 80 box echo 'a b'",
    ),
    all("ps"),
    all("ps -a"),
    all(
        "ps -a --no-trunc --format '{{.ID}} {{.Command}} {{.Names}} {{.Labels}} {{.State}} {{.Networks}} {{.Mounts}} {{.LocalVolumes}}'",
    ),
    all("ps -n 1 --format '{{.Names}}'"),
    all("ps -l --format '{{.Names}}'"),
    all("ps -a --filter label=a --format '{{.Names}}'"),
    all("ps -a --filter label=a=c --format '{{.Names}}'"),
    all("ps -a --filter name=^o --format '{{.Names}}'"),
    all("ps -a --filter 'name=^/?(up|new)$' --format '{{.Names}}'"),
    all("ps -a --filter status=exited --format '{{.Names}}'"),
    all("ps -a --filter status=nosuch"),
    all("ps -a --filter exited=3 --format '{{.Names}}'"),
    differs("ps -a --filter exited=x", OLD_MESSAGES),
    all("ps -a --filter before=down --format '{{.Names}}'"),
    all("ps -a --filter since=up --format '{{.Names}}'"),
    differs(
        "ps -a --filter since=nosuch --format '{{.Names}}'",
        OLD_MESSAGES,
    ),
    all("ps -a --filter ancestor=box --format '{{.Names}}'"),
    all("ps -a --filter ancestor=nosuch --format '{{.Names}}'"),
    all("ps -a --filter network=bridge --format '{{.Names}}'"),
    all("ps -a --filter network=nosuch --format '{{.Names}}'"),
    all("ps -a --filter is-task=false --format '{{.Names}}'"),
    all("ps -a --filter health=none --format '{{.Names}}'"),
    all("ps -a --filter bad=1"),
    all("inspect --format '{{.Path}} {{.Args}} {{.Name}}' new"),
    differs(
        "inspect --format '{{.Config.Hostname}} {{.Config.User}} {{.Config.Env}} {{.Config.Cmd}} {{.Config.Image}} {{.Config.WorkingDir}} {{.Config.Entrypoint}} {{.Config.StopSignal}} {{.Config.ExposedPorts}}' new",
        ALL_SET,
    ),
    all(
        "inspect --format '{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}} {{.Config.Tty}} {{.Config.OpenStdin}} {{.Config.StdinOnce}}' up",
    ),
    all(
        "inspect --format '{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}} {{.Config.Tty}} {{.Config.OpenStdin}} {{.Config.StdinOnce}}' down",
    ),
    all(
        "inspect --format '{{.HostConfig.AutoRemove}} {{.HostConfig.PortBindings}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.LogConfig.Type}} {{.HostConfig.Privileged}} {{.HostConfig.Binds}}' up",
    ),
    all(
        "inspect --format '{{.State.Status}} {{.State.Paused}} {{.State.Restarting}} {{.State.OOMKilled}} {{.State.Dead}} {{.State.StartedAt}} {{.State.FinishedAt}}' up",
    ),
    all("inspect --format '{{.State.StartedAt}} {{.State.FinishedAt}}' new"),
    all(
        "inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.MacAddress}}' up",
    ),
    all(
        "inspect --format '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}} {{$v.Gateway}} {{$v.Aliases}}{{end}}' up",
    ),
    differs(
        "inspect --format '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}} {{$v.Gateway}} {{$v.Aliases}}{{end}}' down",
        ADDRESSES,
    ),
    all("inspect --format '{{len .Mounts}} {{.ExecIDs}} {{.RestartCount}} {{.Platform}}' up"),
    all("inspect --size --format '{{.SizeRw}}' down"),
    all("inspect up nosuch --format '{{.Name}}'"),
    all("pause up"),
    all("ps --format '{{.Names}} {{.Status}} {{.State}}'"),
    all("pause up"),
    all("stop -t 1 up"),
    all("rm -f up down new"),
];

const LOGS: &[Step] = &[
    all("run --name log box sh -c 'echo a; sleep 0.2; echo b >&2; sleep 0.2; echo c; printf d'"),
    all("logs log"),
    all("logs --tail 1 log"),
    all("logs --tail 2 log"),
    all("logs --tail 0 log"),
    all("logs --tail -1 log"),
    all("logs --tail x log"),
    all("logs -t log"),
    all("logs -f log"),
    all("logs --since 1h log"),
    all("logs --until 1h log"),
    all("logs --since nosuch log"),
    all("logs --details log"),
    all("logs nosuch"),
    all("rm log"),
    all("create --name log box true"),
    all("logs log"),
    all("rm log"),
    terminal("run -t --name log box sh -c 'echo a; echo b >&2'", ""),
    all("logs log"),
    all("rm log"),
];

const TERMINALS: &[Step] = &[
    terminal("run --rm -it box sh -c 'tty; echo $TERM'", ""),
    terminal(
        "run --rm -it box sh -c 'read x; echo got $x; exit 4'",
        "word\r",
    ),
    terminal(
        "run --rm -it box sh -c 'trap \"echo int; exit 9\" INT; while :; do sleep 0.1; done'",
        "\u{3}",
    ),
    resized(
        "run --rm -it box sh -c 'trap w=1 WINCH; echo ready; \
         until [ \"$w $(stty size 2>/dev/null)\" = \"1 33 77\" ]; do sleep 0.1; done; exit 6'",
        33,
        77,
    ),
    terminal("run -it --name kept box cat", "typed\u{10}\u{11}"),
    all("ps --format '{{.Names}} {{.Status}}'"),
    terminal("attach kept", "\u{10}\u{11}"),
    terminal("attach --detach-keys ctrl-x kept", "\u{18}"),
    all("attach --detach-keys ctrl-xx kept"),
    all("rm -f kept"),
    all("attach nosuch"),
    all("create --name off box true"),
    all("attach off"),
    all("rm off"),
    all("run -it box true"),
];

const NETWORKS: &[Step] = &[
    all("network create --subnet 10.77.0.0/24 --gateway 10.77.0.254 --label a=b net"),
    all("network create net"),
    all("network ls --filter name=net --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}'"),
    all("network ls --filter driver=nosuch -q"),
    all("network ls --filter bad=1"),
    all(
        "network inspect --format '{{.Name}} {{.Driver}} {{.Internal}} {{.EnableIPv6}} {{.Labels}} {{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}' net",
    ),
    differs("network create --subnet 10.77.0.0/25 overlap", NAMED),
    differs("network create --subnet nosense bad", OLD_MESSAGES),
    differs("network create ''", NAMES),
    differs("network create b@d", NAMES),
    Step {
        differs: Some(NAMES),
        ..status("network rm b@d")
    },
    all("run --rm --network net --ip 10.77.0.9 box sh -c 'ip -4 -o addr | grep -o 10.77.0.9/24'"),
    differs(
        "run --rm --network net --ip 10.78.0.9 box true",
        OLD_MESSAGES,
    ),
    differs("run --rm --ip 172.17.0.9 box true", CHOSEN),
    all("run -d --name one --network net --network-alias first box sleep 100"),
    all(
        "inspect --format '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}} {{$v.Gateway}}{{end}}' one",
    ),
    differs(
        "run --rm --network net box sh -c 'ping -c 1 -W 5 first >/dev/null && echo reached'",
        ISOLATED,
    ),
    differs(
        "run --rm --network net box sh -c 'ping -c 1 -W 5 one >/dev/null && echo reached'",
        ISOLATED,
    ),
    differs("network rm net", OLD_MESSAGES),
    all("rm -f one"),
    all("create --name two box true"),
    all("network connect net two"),
    differs("network connect net two", OLD_MESSAGES),
    all("inspect --format '{{range $k, $v := .NetworkSettings.Networks}}{{$k}};{{end}}' two"),
    all("network disconnect net two"),
    all("network disconnect net two"),
    all("network connect net nosuch"),
    differs("network connect nosuch two", AT_CREATE),
    all("rm two"),
    all("network rm net"),
    all("network rm net"),
    all("network rm bridge"),
    all("network inspect nosuch"),
    all("network create --label x gone"),
    sorted("network prune -f --filter label=x"),
    all("network ls -q --filter name=gone"),
];

const PORTS: &[Step] = &[
    all("run -d --name web -p 127.0.0.1:18080:8080 -p 18081:8081/udp --expose 81 box sleep 100"),
    differs("port web", ONE_FAMILY),
    all("port web 8080"),
    differs("port web 8081/udp", ONE_FAMILY),
    all("port web 81"),
    all("port web x"),
    differs("ps --format '{{.Ports}}'", ONE_FAMILY),
    differs(
        "inspect --format '{{json .NetworkSettings.Ports}}' web",
        ONE_FAMILY,
    ),
    all("inspect --format '{{json .HostConfig.PortBindings}}' web"),
    differs(
        "run --name clash -p 127.0.0.1:18080:80 box true",
        OLD_MESSAGES,
    ),
    all("rm -f clash"),
    all("stop -t 1 web"),
    all("port web"),
    all("inspect --format '{{json .NetworkSettings.Ports}}' web"),
    all("ps -a --format '{{.Names}} {{.Ports}}'"),
    all("rm web"),
    all("run -d --name many -p 18090-18092:90-92 box sleep 100"),
    differs("port many", ONE_FAMILY),
    differs("ps --format '{{.Ports}}'", ONE_FAMILY),
    all("rm -f many"),
    all("run -d --name some --expose 90-92 -p 18090-18099:90 box sleep 100"),
    differs("port some", ONE_FAMILY),
    differs("ps --format '{{.Ports}}'", ONE_FAMILY),
    all("rm -f some"),
    all("run --rm -p 18090-18091:90-92 box true"),
    all("run --rm -p 70000:1 box true"),
    all("run --rm -p 1.2.3:80:80 box true"),
    all("run --rm -p 80/x box true"),
];

const PRUNE: &[Step] = &[
    all("create --name left box true"),
    all("create --name labelled -l keep box true"),
    all("container prune -f --filter label!=keep"),
    all("ps -a --format '{{.Names}}'"),
    all("container prune -f"),
    all("container prune -f"),
    all("image prune -f"),
    all("image prune -f --filter bad=1"),
    all("system prune -f"),
];

const ERRORS: &[Step] = &[
    all("inspect nosuch"),
    all("start nosuch"),
    all("stop nosuch"),
    all("kill nosuch"),
    all("pause nosuch"),
    all("unpause nosuch"),
    all("restart nosuch"),
    all("wait nosuch"),
    all("rename nosuch b"),
    all("port nosuch"),
    all("history nosuch"),
    all("tag nosuch a"),
    all("tag box Upper"),
    all("rmi nosuch"),
    all("images --filter bad=1"),
    all("create --name left box true"),
    all("inspect l"),
    all("rm left"),
];
