//! The command-line options, which have the same names as in vic-machine and in the script of
//! VIC 0.1.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use ipnet::Ipv4Net;
use portlayer::exec::Shares;
use portlayer::network::{BridgeRange, BridgeRangeError};
use portlayer::vsphere::{PoolAllocation, VlanRange};

use crate::addresses::Addresses;
use crate::appliance::ForPrograms;

/// Installs, lists, inspects and deletes virtual container hosts.
#[derive(Parser)]
#[command(name = "vch", version)]
pub(crate) struct Options {
    /// The endpoint: `[USER[:PASSWORD]@]HOST[:PORT]` or an https address, with a datacenter as its
    /// path. Default: VSPHERE_URL.
    #[arg(long, short, global = true)]
    pub(crate) target: Option<String>,
    /// The user. Default: GOVC_USERNAME.
    #[arg(long, short, global = true)]
    pub(crate) user: Option<String>,
    /// The password. Everybody on this machine can read it in the arguments: omit it to be
    /// asked, or set GOVC_PASSWORD.
    #[arg(long, short, global = true, hide = true)]
    pub(crate) password: Option<String>,
    /// The thumbprint of the endpoint's certificate, as `govc about.cert -thumbprint` prints it.
    #[arg(long, global = true)]
    pub(crate) thumbprint: Option<String>,
    /// Print JSON on standard output, and the log on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) job: Job,
}

impl std::fmt::Debug for Options {
    // Do not print target and password, which may contain secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Installs a host, like the script of VIC 0.1.
    Install(Box<Install>),
    /// Installs a host.
    Create(Box<Create>),
    /// Lists the hosts of the endpoint.
    Ls,
    /// Shows one host, and the command that would create it.
    Inspect(Named),
    /// Deletes a host with its images.
    Delete(Delete),
    /// Changes settings of the endpoint that hosts need.
    Update {
        #[command(subcommand)]
        part: Update,
    },
    /// Not supported: the appliance has no shell.
    Debug(Rest),
    /// Not supported: a host keeps the configuration with which it was created.
    Configure(Rest),
    /// Not supported: create a new host with the new images.
    Upgrade(Rest),
}

impl Job {
    /// Returns the name of a sub-command of vic-machine that is not supported, and the reason.
    pub(crate) fn refusal(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Debug(_) => ("debug", "the appliance has no shell and no SSH"),
            Self::Configure(_) => (
                "configure",
                "a host keeps the configuration with which it was created",
            ),
            Self::Upgrade(_) => ("upgrade", "create a new host with the new images"),
            _ => return None,
        })
    }
}

/// The arguments of a sub-command that is not supported.
#[derive(Debug, Args)]
pub(crate) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<String>,
}

/// The name of a host, as an argument or as vic-machine's option.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The name of the host.
    #[arg(value_name = "NAME", required_unless_present = "named")]
    name: Option<String>,
    /// The name of the host.
    #[arg(
        long = "name",
        short = 'n',
        value_name = "NAME",
        conflicts_with = "name"
    )]
    named: Option<String>,
}

impl Named {
    pub(crate) fn name(&self) -> &str {
        let name = self.name.as_deref().or(self.named.as_deref());
        name.unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Update {
    /// Opens or closes the firewalls of the ESXi hosts for the serial ports of containers.
    Firewall(Firewall),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Firewall {
    /// Permit the connections of the serial ports.
    #[arg(long)]
    pub(crate) allow: bool,
    /// Forbid the connections of the serial ports.
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Also delete the containers of the host.
    #[arg(long, short)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The name of the host: 1 to 31 letters, digits and `-`.
    pub(crate) name: String,
    /// Generate a certificate and a key: NAME-cert.pem and NAME-key.pem.
    #[arg(short)]
    pub(crate) generate: bool,
    /// The datastore for the files of the host. Default: the only one.
    #[arg(short, value_name = "DATASTORE")]
    pub(crate) image_store: Option<String>,
    /// The host, cluster or resource pool to run on. Default: the only one.
    #[arg(short = 'r', value_name = "COMPUTE")]
    pub(crate) compute_resource: Option<String>,
    /// The network that connects the appliance to the outside.
    #[arg(short, value_name = "NETWORK", default_value = DEFAULT_NETWORK)]
    pub(crate) external_network: String,
    /// The network on which the appliance reaches the endpoint. Default: the external network.
    #[arg(short, value_name = "NETWORK")]
    pub(crate) management_network: Option<String>,
    /// The network of the containers. Default: a network with the host's name, which is
    /// created if it is missing.
    #[arg(short, value_name = "NETWORK")]
    pub(crate) bridge_network: Option<String>,
    /// The image that the appliance boots. Default: appliance.iso in the current directory or
    /// next to this command.
    #[arg(short, value_name = "FILE")]
    pub(crate) appliance_iso: Option<PathBuf>,
    /// The image that containers boot. Default: bootstrap.iso in the current directory or next
    /// to this command.
    #[arg(short = 'c', value_name = "FILE")]
    pub(crate) bootstrap_iso: Option<PathBuf>,
    /// An existing certificate.
    #[arg(
        short = 'x',
        value_name = "FILE",
        requires = "key",
        conflicts_with = "generate"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of the given certificate.
    #[arg(short = 'y', value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Delete an existing host with this name first, with its containers.
    #[arg(short)]
    pub(crate) force: bool,
    /// How long to wait for the appliance's address, such as `3m`; 0 does not wait, neither for
    /// the address nor for components.
    #[arg(long, default_value = "3m", value_parser = time)]
    pub(crate) timeout: Duration,
    /// How long to wait, after that, until the appliance has started its components; 0 does not
    /// wait.
    #[arg(long, default_value = "3m", value_parser = time)]
    pub(crate) component_timeout: Duration,
    /// Print the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The default network in VIC.
pub(crate) const DEFAULT_NETWORK: &str = "VM Network";

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The host, cluster or resource pool to run on. Default: the only one.
    #[arg(long, short = 'r')]
    pub(crate) compute_resource: Option<String>,
    /// The datastore for the files of the host. Default: the only one.
    #[arg(long, short, alias = "image-datastore")]
    pub(crate) image_store: Option<String>,
    /// The network of the containers. Default on ESXi: a network with the host's name, which
    /// is created if it is missing.
    #[arg(long, short = 'b')]
    pub(crate) bridge_network: Option<String>,
    #[command(flatten)]
    pub(crate) scopes: Scopes,
    /// The network that connects the appliance to the outside.
    #[arg(long, visible_alias = "external-network", default_value = DEFAULT_NETWORK)]
    pub(crate) public_network: String,
    /// The network of the appliance's clients. Default: the public network.
    #[arg(long)]
    pub(crate) client_network: Option<String>,
    /// The network on which the appliance reaches the endpoint. Default: the public network.
    #[arg(long)]
    pub(crate) management_network: Option<String>,
    #[command(flatten)]
    pub(crate) addresses: Addresses,
    /// The address that the serial ports of containers connect to: `HOST[:PORT]`. Default: the
    /// host's name.
    #[arg(long)]
    pub(crate) line_address: Option<String>,
    /// The image that the appliance boots. Default: appliance.iso in the current directory or
    /// next to this command.
    #[arg(long, visible_alias = "ai", value_name = "FILE")]
    pub(crate) appliance_iso: Option<PathBuf>,
    /// The image that containers boot. Default: bootstrap.iso in the current directory or next
    /// to this command.
    #[arg(long, visible_alias = "bi", value_name = "FILE")]
    pub(crate) bootstrap_iso: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pool: Pool,
    #[command(flatten)]
    pub(crate) programs: ForPrograms,
    /// Number of processors of the appliance.
    #[arg(long, visible_alias = "endpoint-cpu", default_value_t = 1)]
    pub(crate) appliance_cpu: u32,
    /// Memory of the appliance in MiB.
    #[arg(long, visible_alias = "endpoint-memory", default_value_t = 2048)]
    pub(crate) appliance_memory: u64,
    /// The name or address in the generated server certificate. Default: the host's name.
    #[arg(long)]
    pub(crate) tls_cname: Option<String>,
    /// The directory of the certificates. Existing certificates are used, missing certificates
    /// are generated. Default: the host's name.
    #[arg(long, visible_alias = "cert-path", value_name = "DIRECTORY")]
    pub(crate) tls_cert_path: Option<PathBuf>,
    /// An existing server certificate.
    #[arg(
        long,
        visible_alias = "cert",
        value_name = "FILE",
        requires = "tls_server_key"
    )]
    pub(crate) tls_server_cert: Option<PathBuf>,
    /// The private key of the given certificate.
    #[arg(
        long,
        visible_alias = "key",
        value_name = "FILE",
        requires = "tls_server_cert"
    )]
    pub(crate) tls_server_key: Option<PathBuf>,
    /// A file with certificates of authorities whose clients the appliance accepts, besides the
    /// generated authority. Repeat the option for each file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_tls", "no_tls_verify"])]
    pub(crate) tls_ca: Vec<PathBuf>,
    /// Do not use TLS, so that no certificates are needed.
    #[arg(long, conflicts_with_all = ["tls_server_cert", "tls_server_key", "tls_cname"])]
    pub(crate) no_tls: bool,
    /// Do not require certificates of clients.
    #[arg(long, visible_alias = "no-tlsverify")]
    pub(crate) no_tls_verify: bool,
    /// How long to wait for the appliance's address, such as `3m`; 0 does not wait, neither for
    /// the address nor for components.
    #[arg(long, default_value = "3m", value_parser = time)]
    pub(crate) timeout: Duration,
    /// How long to wait, after that, until the appliance has started its components; 0 does not
    /// wait.
    #[arg(long, default_value = "3m", value_parser = time)]
    pub(crate) component_timeout: Duration,
    /// Print the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The limits, reservations and shares of the host's resource pool, which apply to the appliance and
/// all containers together.
#[derive(Debug, Args)]
pub(crate) struct Pool {
    /// The limit of processor time in MHz. Default: none.
    #[arg(long, value_name = "MHZ")]
    pub(crate) cpu: Option<u64>,
    /// The reserved processor time in MHz.
    #[arg(
        long,
        value_name = "MHZ",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) cpu_reservation: u64,
    /// The shares of processor time: `low`, `normal`, `high` or a number.
    #[arg(long, value_name = "SHARES", default_value = "normal", value_parser = shares)]
    pub(crate) cpu_shares: Shares,
    /// The limit of memory in MiB. Default: none.
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// The reserved memory in MiB.
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) memory_reservation: u64,
    /// The shares of memory: `low`, `normal`, `high` or a number.
    #[arg(long, value_name = "SHARES", default_value = "normal", value_parser = shares)]
    pub(crate) memory_shares: Shares,
}

impl Pool {
    pub(crate) fn allocation(&self) -> PoolAllocation {
        let mut pool = PoolAllocation::new();
        pool.cpu.limit = self.cpu;
        pool.cpu.reservation = self.cpu_reservation;
        pool.cpu.shares = self.cpu_shares;
        pool.memory.limit = self.memory;
        pool.memory.reservation = self.memory_reservation;
        pool.memory.shares = self.memory_shares;
        pool
    }
}

fn shares(text: &str) -> Result<Shares, String> {
    Ok(match text {
        "low" => Shares::Low,
        "normal" => Shares::Normal,
        "high" => Shares::High,
        number => {
            Shares::Custom(number.parse().map_err(|_unparsable| {
                format!("{number:?} is not low, normal, high or a number")
            })?)
        }
    })
}

/// The addresses and networks of the container networks that users create.
#[derive(Debug, Args)]
pub(crate) struct Scopes {
    /// The range of addresses from which container networks get their subnets. Default:
    /// 172.16.0.0/12. Choose a range that is not used on the networks that containers must reach.
    #[arg(long, value_name = "NETWORK/PREFIX")]
    pub(crate) bridge_network_range: Option<Ipv4Net>,
    /// The prefix length of one subnet of the range. Default: 20, or that of a smaller range.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) bridge_network_width: Option<u8>,
    /// An existing network that is assigned to one container network exclusively, by name or
    /// inventory path. Repeat the option for each network. Default: all container networks share
    /// the bridge network, and only their subnets separate them.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) scope_network: Vec<String>,
    /// The VLANs of container networks, such as `100-199`: each network gets a port group with a
    /// VLAN of its own on the switch of the bridge network.
    #[arg(long, value_name = "FIRST-LAST", conflicts_with = "scope_network")]
    pub(crate) scope_vlans: Option<VlanRange>,
}

impl Scopes {
    /// Returns the range of container networks, divided into subnets.
    ///
    /// # Errors
    /// Fails if the range cannot be divided into such subnets.
    pub(crate) fn range(&self) -> Result<BridgeRange, BridgeRangeError> {
        let default = BridgeRange::default();
        let range = self.bridge_network_range.unwrap_or(default.range());
        let width = self.bridge_network_width;
        let width = width.unwrap_or(default.prefix_len().max(range.prefix_len()));
        BridgeRange::new(range, width)
    }
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let is_wrong = || format!("{text:?} is not a time: write 180s, 3m or 1m30s");
    let span = parsed.map_err(|_unparsable| is_wrong())?;
    Duration::try_from(span).map_err(|_negative| is_wrong())
}

/// Options of vic-machine that this command does not support.
const REFUSED: &[&str] = &[
    "--affinity-vm-group",
    "--asymmetric-routes",
    "--base-image-size",
    "--certificate-key-size",
    "--container-name-convention",
    "--container-network",
    "--container-network-dns",
    "--container-network-firewall",
    "--container-network-gateway",
    "--container-network-ip-range",
    "--containers",
    "--http-proxy",
    "--https-proxy",
    "--id",
    "--ops-grant-perms",
    "--ops-password",
    "--organization",
    "--storage-quota",
    "--syslog-address",
    "--use-rp",
];

/// Refuses unsupported options of vic-machine with an error that names them, rather than
/// ignoring them.
///
/// # Errors
/// Fails with the first such option.
pub(crate) fn refuse_unknown(arguments: &[String]) -> Result<()> {
    for argument in arguments {
        let option = argument.split('=').next().unwrap_or_default();
        if REFUSED.contains(&option) {
            bail!("{option} of vic-machine is not supported");
        }
    }
    Ok(())
}

/// Returns the path of a boot image: the given file, or a file with the default name in the current
/// directory or next to this command. If there is none, the plan reports the default name.
pub(crate) fn image(given: Option<&PathBuf>, name: &str) -> PathBuf {
    if let Some(file) = given {
        return file.clone();
    }
    let command = std::env::current_exe().unwrap_or_default();
    let here = PathBuf::from(name);
    let next = command.with_file_name(name);
    if !here.is_file() && next.is_file() {
        return next;
    }
    here
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    fn create(arguments: &[&str]) -> Create {
        let all = ["vch", "create"].iter().chain(arguments);
        match Options::try_parse_from(all).unwrap().job {
            Job::Create(create) => *create,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the sub-commands and options of a command, as the list of wrong options names them.
    fn defined(command: &clap::Command, path: &str) -> BTreeSet<(String, String)> {
        let mut all = BTreeSet::new();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if ["help", "version"].contains(&id) {
                continue;
            }
            let option = match (argument.get_long(), argument.get_short()) {
                (Some(long), _) => format!("--{long}"),
                (None, Some(short)) => format!("-{short}"),
                (None, None) => id.to_uppercase(),
            };
            all.insert((path.to_owned(), option));
        }
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            all.extend(defined(inner, path.trim()));
        }
        all
    }

    #[test]
    fn every_option_is_tested_with_a_wrong_value() {
        let defined = defined(&Options::command(), "");
        let tested = crate::wrong_options::all();
        let tested: BTreeSet<_> = tested
            .map(|wrong| {
                assert!(!wrong.arguments.is_empty() && !wrong.says.is_empty());
                (wrong.command.to_owned(), wrong.option.to_owned())
            })
            .collect();
        let none = Vec::<&(String, String)>::new();
        assert_eq!(defined.difference(&tested).collect::<Vec<_>>(), none);
        assert_eq!(tested.difference(&defined).collect::<Vec<_>>(), none);
    }

    #[test]
    fn both_spellings_of_the_public_network_are_known() {
        for option in ["--public-network", "--external-network"] {
            assert_eq!(create(&["vch-1", option, "lan"]).public_network, "lan");
        }
        assert_eq!(create(&["--name", "vch-1"]).public_network, DEFAULT_NETWORK);
    }

    #[test]
    fn the_name_is_an_argument_or_an_option() {
        assert_eq!(create(&["vch-1"]).named.name(), "vch-1");
        assert_eq!(create(&["--name", "vch-1"]).named.name(), "vch-1");
        assert!(Options::try_parse_from(["vch", "create"]).is_err());
    }

    #[test]
    fn the_range_of_container_networks_can_be_chosen() {
        let range = |arguments: &[&str]| {
            let arguments = [&["vch-1"], arguments].concat();
            let range = create(&arguments).scopes.range();
            range.map_err(|error| error.to_string())
        };
        assert_eq!(range(&[]), Ok(BridgeRange::default()));
        for (arguments, expected) in [
            (&["--bridge-network-range", "10.64.0.0/16"][..], "/20"),
            (&["--bridge-network-range", "10.64.0.0/22"], "/22"),
            (
                &[
                    "--bridge-network-range",
                    "10.64.0.0/16",
                    "--bridge-network-width",
                    "24",
                ],
                "/24",
            ),
        ] {
            let shown = range(arguments).unwrap().to_string();
            assert!(shown.ends_with(expected), "{shown}");
        }
        let bad = range(&["--bridge-network-range", "10.64.0.1/16"]).unwrap_err();
        assert!(bad.contains("10.64.0.1/16"), "{bad}");
        let bad = range(&["--bridge-network-width", "31"]).unwrap_err();
        assert!(bad.contains("not 31"), "{bad}");
    }

    #[test]
    fn the_script_of_0_1_is_understood() {
        let line = [
            "vch",
            "install",
            "-g",
            "-t",
            "root:x@esx",
            "-i",
            "ds",
            "vch-1",
        ];
        let options = Options::try_parse_from(line).unwrap();
        assert_eq!(options.target.as_deref(), Some("root:x@esx"));
        let Job::Install(install) = options.job else {
            panic!("{options:?}")
        };
        assert!(install.generate);
        assert_eq!(install.image_store.as_deref(), Some("ds"));
    }

    #[test]
    fn times_are_read_as_vic_machine_writes_them() {
        assert_eq!(time("3m0s"), Ok(Duration::from_secs(180)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        assert!(time("soon").unwrap_err().contains("\"soon\""));
        assert!(time("-3m").is_err());
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let refused = refuse_unknown(&["--ops-password=x".into()]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "--ops-password of vic-machine is not supported"
        );
        assert!(refuse_unknown(&["--force".into(), "vch".into()]).is_ok());
    }
}
