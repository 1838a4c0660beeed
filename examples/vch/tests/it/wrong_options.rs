//! Every option of every sub-command with a wrong value, and what the error says about it: the option
//! and what to do. A unit test of the options compares this list with the command's definition.

/// One wrong option.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The sub-command, with blanks between its words.
    pub(crate) command: &'static str,
    /// The option, or the name of an argument.
    pub(crate) option: &'static str,
    /// The arguments after the sub-command.
    pub(crate) arguments: &'static [&'static str],
    /// What the output contains.
    pub(crate) says: &'static [&'static str],
}

const fn wrong(
    command: &'static str,
    option: &'static str,
    arguments: &'static [&'static str],
    says: &'static [&'static str],
) -> Wrong {
    Wrong {
        command,
        option,
        arguments,
        says,
    }
}

/// The options of all sub-commands, here with `ls`.
const GLOBAL: &[Wrong] = &[
    wrong(
        "",
        "--target",
        &["-t", "http://esx"],
        &["--target", "only https"],
    ),
    wrong(
        "",
        "--user",
        &["--user", "nobody"],
        &["correct --user and GOVC_PASSWORD"],
    ),
    wrong(
        "",
        "--password",
        &["--password", "wrong"],
        &["correct --user", "--password"],
    ),
    wrong(
        "",
        "--thumbprint",
        &["--thumbprint", "00"],
        &["--thumbprint"],
    ),
    wrong("", "--json", &["--json=yes"], &["'yes' for '--json'"]),
];

const NAME: &[&str] = &[
    "invalid value for name",
    "1 to 31 letters",
    "choose another name",
];

const CREATE: &[Wrong] = &[
    wrong(
        "create",
        "--ops-user",
        &["--dry-run", "--no-tls", "--ops-user", "", "a"],
        &["invalid value for user", "correct --ops-user"],
    ),
    wrong(
        "create",
        "--keepalive",
        &["--keepalive", "soon", "a"],
        &["'--keepalive <TIME>'", "is not a time: write 180s"],
    ),
    wrong(
        "create",
        "--insecure-registry",
        &[
            "--dry-run",
            "--no-tls",
            "--insecure-registry",
            "https://a",
            "a",
        ],
        &[
            "\"https://a\" is not HOST[:PORT]",
            "correct --insecure-registry",
        ],
    ),
    wrong(
        "create",
        "--whitelist-registry",
        &["--dry-run", "--no-tls", "--whitelist-registry", "a b", "a"],
        &["\"a b\" is not HOST[:PORT]", "correct --whitelist-registry"],
    ),
    wrong(
        "create",
        "--registry-ca",
        &["--dry-run", "--registry-ca", "appliance.iso", "a"],
        &["with --registry-ca, not \"appliance.iso\""],
    ),
    wrong(
        "create",
        "--volume-store",
        &[
            "--dry-run",
            "--no-tls",
            "--volume-store",
            "no-such/v:b",
            "a",
        ],
        &[
            "datastore \"no-such\"",
            "name an existing datastore for \"b\" of --volume-store",
        ],
    ),
    wrong(
        "create",
        "--tls-ca",
        &["--dry-run", "--tls-ca", "appliance.iso", "a"],
        &["with --tls-ca, not \"appliance.iso\""],
    ),
    wrong(
        "create",
        "--component-timeout",
        &["--component-timeout", "soon", "a"],
        &[
            "'--component-timeout <COMPONENT_TIMEOUT>'",
            "is not a time: write 180s",
        ],
    ),
    wrong("create", "NAME", &["--no-tls", "not a name"], NAME),
    wrong(
        "create",
        "--name",
        &["--no-tls", "--name", "not a name"],
        NAME,
    ),
    wrong(
        "create",
        "--compute-resource",
        &["--no-tls", "--compute-resource", "none", "a"],
        &["\"none\" was not found", "with --compute-resource"],
    ),
    wrong(
        "create",
        "--image-store",
        &["--no-tls", "--image-store", "none", "a"],
        &["\"none\" was not found", "with --image-store"],
    ),
    wrong(
        "create",
        "--bridge-network",
        &["--no-tls", "--bridge-network", "", "a"],
        &["correct --bridge-network"],
    ),
    wrong(
        "create",
        "--bridge-network-range",
        &["--no-tls", "--bridge-network-range", "10.64.0.1/16", "a"],
        &["10.64.0.1/16", "correct --bridge-network-range"],
    ),
    wrong(
        "create",
        "--bridge-network-width",
        &["--no-tls", "--bridge-network-width", "31", "a"],
        &["not 31", "or --bridge-network-width"],
    ),
    wrong(
        "create",
        "--scope-network",
        &["--no-tls", "--scope-network", "none", "a"],
        &["\"none\" was not found", "with --scope-network"],
    ),
    wrong(
        "create",
        "--scope-vlans",
        &["--no-tls", "--scope-vlans", "9-8", "a"],
        &["'9-8' for '--scope-vlans"],
    ),
    wrong(
        "create",
        "--public-network",
        &["--no-tls", "--public-network", "none", "a"],
        &["\"none\" was not found", "with --public-network"],
    ),
    wrong(
        "create",
        "--client-network",
        &["--no-tls", "--client-network", "none", "a"],
        &["\"none\" was not found", "with --client-network"],
    ),
    wrong(
        "create",
        "--management-network",
        &["--no-tls", "--management-network", "none", "a"],
        &["\"none\" was not found", "with --management-network"],
    ),
    wrong(
        "create",
        "--public-network-ip",
        &["--no-tls", "--public-network-ip", "10.0.0.7/24", "a"],
        &["--public-network-gateway <ADDRESS>"],
    ),
    wrong(
        "create",
        "--public-network-gateway",
        &[
            "--no-tls",
            "--public-network-ip",
            "10.0.0.7/24",
            "--public-network-gateway",
            "lan",
            "a",
        ],
        &["'lan' for '--public-network-gateway", "write 10.0.0.1"],
    ),
    wrong(
        "create",
        "--client-network-ip",
        &["--no-tls", "--client-network-ip", "lan", "a"],
        &["'lan' for '--client-network-ip <ADDRESS/PREFIX>'"],
    ),
    wrong(
        "create",
        "--client-network-gateway",
        &["--no-tls", "--client-network-gateway", "10.0.0.1", "a"],
        &["--client-network-ip <ADDRESS/PREFIX>"],
    ),
    wrong(
        "create",
        "--management-network-ip",
        &["--no-tls", "--management-network-ip", "lan", "a"],
        &["'lan' for '--management-network-ip <ADDRESS/PREFIX>'"],
    ),
    wrong(
        "create",
        "--management-network-gateway",
        &["--no-tls", "--management-network-gateway", "10.0.0.1", "a"],
        &["--management-network-ip <ADDRESS/PREFIX>"],
    ),
    wrong(
        "create",
        "--dns-server",
        &["--no-tls", "--dns-server", "lan", "a"],
        &["'lan' for '--dns-server <ADDRESS>'"],
    ),
    wrong(
        "create",
        "--line-address",
        &["--no-tls", "--line-address", "", "a"],
        &["correct --line-address"],
    ),
    wrong(
        "create",
        "--appliance-iso",
        &["--no-tls", "--appliance-iso", "none.iso", "a"],
        &["name a readable file with --appliance-iso"],
    ),
    wrong(
        "create",
        "--bootstrap-iso",
        &["--no-tls", "--bootstrap-iso", "none.iso", "a"],
        &["name a readable file with --bootstrap-iso"],
    ),
    wrong(
        "create",
        "--cpu",
        &["--no-tls", "--cpu", "many", "a"],
        &["'many' for '--cpu <MHZ>'"],
    ),
    wrong(
        "create",
        "--cpu-reservation",
        &["--no-tls", "--cpu", "5", "--cpu-reservation", "6", "a"],
        &[
            "the limit is below the reservation",
            "correct --cpu, --cpu-reservation",
        ],
    ),
    wrong(
        "create",
        "--cpu-shares",
        &["--no-tls", "--cpu-shares", "most", "a"],
        &[
            "'--cpu-shares <SHARES>'",
            "is not low, normal, high or a number",
        ],
    ),
    wrong(
        "create",
        "--memory",
        &["--no-tls", "--memory", "much", "a"],
        &["'much' for '--memory <MIB>'"],
    ),
    wrong(
        "create",
        "--memory-reservation",
        &[
            "--no-tls",
            "--memory",
            "5",
            "--memory-reservation",
            "6",
            "a",
        ],
        &[
            "the limit is below the reservation",
            "correct --memory, --memory-reservation",
        ],
    ),
    wrong(
        "create",
        "--memory-shares",
        &["--no-tls", "--memory-shares", "0", "a"],
        &["custom shares must be", "or --memory-shares"],
    ),
    wrong(
        "create",
        "--appliance-cpu",
        &["--no-tls", "--appliance-cpu", "0", "a"],
        &["correct --appliance-cpu"],
    ),
    wrong(
        "create",
        "--appliance-memory",
        &["--no-tls", "--appliance-memory", "0", "a"],
        &["correct --appliance-memory"],
    ),
    wrong(
        "create",
        "--tls-cname",
        &["--tls-cname", "two words", "a"],
        &[
            "\"two words\" cannot be the name of a server",
            "set --tls-cname",
        ],
    ),
    wrong(
        "create",
        "--tls-cert-path",
        &["--tls-cert-path", "appliance.iso", "a"],
        &["with --tls-cert-path"],
    ),
    wrong(
        "create",
        "--tls-server-cert",
        &[
            "--tls-server-cert",
            "none.pem",
            "--tls-server-key",
            "none-key.pem",
            "a",
        ],
        &[
            "cannot read the certificate none.pem",
            "with --tls-server-cert",
        ],
    ),
    wrong(
        "create",
        "--tls-server-key",
        &["--tls-server-key", "none-key.pem", "a"],
        &["--tls-server-cert <FILE>"],
    ),
    wrong(
        "create",
        "--no-tls",
        &["--no-tls=yes", "a"],
        &["'yes' for '--no-tls'"],
    ),
    wrong(
        "create",
        "--no-tls-verify",
        &["--no-tls-verify=yes", "a"],
        &["'yes' for '--no-tls-verify'"],
    ),
    wrong(
        "create",
        "--timeout",
        &["--no-tls", "--timeout", "soon", "a"],
        &["'--timeout <TIMEOUT>'", "is not a time: write 180s"],
    ),
    wrong(
        "create",
        "--dry-run",
        &["--dry-run=yes", "a"],
        &["'yes' for '--dry-run'"],
    ),
];

const INSTALL: &[Wrong] = &[
    wrong(
        "install",
        "--component-timeout",
        &["--component-timeout", "soon", "a"],
        &[
            "'--component-timeout <COMPONENT_TIMEOUT>'",
            "is not a time: write 180s",
        ],
    ),
    wrong("install", "NAME", &["not a name"], NAME),
    wrong(
        "install",
        "-g",
        &["-g", "-x", "none.pem", "-y", "none-key.pem", "a"],
        &["'-g' cannot be used with", "'-x <FILE>'"],
    ),
    wrong(
        "install",
        "-i",
        &["-i", "none", "a"],
        &["\"none\" was not found", "with -i"],
    ),
    wrong(
        "install",
        "-r",
        &["-r", "none", "a"],
        &["\"none\" was not found", "with -r"],
    ),
    wrong(
        "install",
        "-e",
        &["-e", "none", "a"],
        &["\"none\" was not found", "with -e"],
    ),
    wrong(
        "install",
        "-m",
        &["-m", "none", "a"],
        &["\"none\" was not found", "with -m"],
    ),
    wrong("install", "-b", &["-b", "", "a"], &["correct -b"]),
    wrong(
        "install",
        "-a",
        &["-a", "none.iso", "a"],
        &["a readable file with -a"],
    ),
    wrong(
        "install",
        "-c",
        &["-c", "none.iso", "a"],
        &["a readable file with -c"],
    ),
    wrong(
        "install",
        "-x",
        &["-x", "none.pem", "-y", "none-key.pem", "a"],
        &["cannot read the certificate none.pem", "with -x and -y"],
    ),
    wrong(
        "install",
        "-y",
        &["-y", "none-key.pem", "a"],
        &["-x <FILE>"],
    ),
    wrong(
        "install",
        "-f",
        &["-f", "-f", "a"],
        &["'-f' cannot be used multiple times"],
    ),
    wrong(
        "install",
        "--timeout",
        &["--timeout", "soon", "a"],
        &["'--timeout <TIMEOUT>'", "is not a time: write 180s"],
    ),
    wrong(
        "install",
        "--dry-run",
        &["--dry-run=yes", "a"],
        &["'yes' for '--dry-run'"],
    ),
];

const NO_HOST: &[&str] = &["there is no host \"none\"", "`vch ls` lists the hosts"];

const OTHERS: &[Wrong] = &[
    wrong("inspect", "NAME", &["none"], NO_HOST),
    wrong("inspect", "--name", &["--name", "none"], NO_HOST),
    wrong("delete", "NAME", &["none"], NO_HOST),
    wrong("delete", "--name", &["--name", "none"], NO_HOST),
    wrong(
        "delete",
        "--force",
        &["--force=yes", "none"],
        &["'yes' for '--force'"],
    ),
    wrong(
        "update firewall",
        "--allow",
        &["--allow=yes"],
        &["'yes' for '--allow'"],
    ),
    wrong(
        "update firewall",
        "--deny",
        &["--deny", "--allow"],
        &["'--deny'", "'--allow'"],
    ),
    wrong(
        "debug",
        "_REST",
        &["--enable-ssh", "a"],
        &["no shell and no SSH"],
    ),
    wrong(
        "configure",
        "_REST",
        &["--memory", "4096", "a"],
        &["configure of vic-machine is not supported"],
    ),
    wrong(
        "upgrade",
        "_REST",
        &["a"],
        &["upgrade of vic-machine is not supported"],
    ),
];

/// Iterates over all options.
pub(crate) fn all() -> impl Iterator<Item = &'static Wrong> {
    [GLOBAL, CREATE, INSTALL, OTHERS].into_iter().flatten()
}
