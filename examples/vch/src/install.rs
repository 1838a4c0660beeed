//! Installs hosts, with the options and output of VIC 0.1's script or of vic-machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use portlayer::ErrorKind;
use portlayer::vsphere::{
    ApplianceCertificates, ContainerPolicy, Finding, HostInfo, HostSpec, HostState, InstallStep,
    Iso, Plan, Severity,
};

use crate::Context;
use crate::appliance::{components, pem};
use crate::fields::in_options;
use crate::finish;
use crate::log::InstallLog;
use crate::options::{Create, DEFAULT_NETWORK, Install, image};
use crate::problems::Problems;
use examples::certificates::{self, Certificates};
use examples::output::Output;

/// Runs `vch install`, which behaves like the script of VIC 0.1.
pub(crate) async fn script(context: &Context<'_>, install: &Install) -> Result<()> {
    let log = &context.log;
    let mut spec = spec(
        context,
        &install.name,
        (
            install.appliance_iso.as_ref(),
            install.bootstrap_iso.as_ref(),
        ),
    );
    let mut problems = Problems::new(spec.resource());
    let files = pair(context, install, &mut problems);
    let place = &context.endpoint.place;
    spec.compute = install.compute_resource.clone().or(place.compute.clone());
    spec.datastore = install.image_store.clone().or(place.datastore.clone());
    spec.bridge_network = install.bridge_network.clone();
    spec.create_bridge = !context.client.is_vcenter();
    spec.public_network = public(&install.external_network, spec.bridge_network.as_deref());
    spec.management_network = install.management_network.clone();
    spec.address_timeout = waits(install.timeout);
    spec.component_timeout = spec.address_timeout.and(waits(install.component_timeout));
    spec.components = components(files.is_some());
    spec.create_options.clone_from(&context.given);
    if let Some(files) = &files {
        let read = certificates_of((&files.certificate, &files.key), String::new());
        spec.certificates = problems.keep("certificates", read, "name readable files");
        if install.generate {
            let (certificate, key) = (files.certificate.display(), files.key.display());
            let recorded = &mut spec.create_options;
            recorded.push(format!("--tls-server-cert={certificate}"));
            recorded.push(format!("--tls-server-key={key}"));
        }
    }
    if install.force && !install.dry_run && problems.is_empty() {
        replace(context, &spec).await?;
    }
    let job = (install.dry_run, problems);
    let Some(host) = carry_out(context, spec, "external", job).await? else {
        return Ok(());
    };
    if files.is_some() {
        log.info("Configuring TLS server");
    }
    finish::script(context, &host, files.as_ref()).await
}

/// Returns the certificate and the key of `vch install`, which may be generated.
fn pair(context: &Context<'_>, install: &Install, problems: &mut Problems) -> Option<Certificates> {
    if !install.generate || install.dry_run {
        let pair = given(install.certificate.as_deref(), install.key.as_deref());
        let remedy = "name a pair with -x and -y";
        return problems.keep("certificates", pair, remedy).flatten();
    }
    let made = certificates::single(&install.name);
    let remedy = "use another directory, or name a pair with -x and -y";
    let (files, generated) = problems.keep("certificates", made, remedy)?;
    if generated {
        let key = files.key.display();
        context.log.info(&format!(
            "Generating certificate/key pair - private key in {key}"
        ));
    }
    Some(files)
}

/// Deletes the host that has the name already, with its containers. A finished host stays if the new
/// one cannot be installed for another reason than the name.
async fn replace(context: &Context<'_>, spec: &HostSpec) -> Result<()> {
    let log = &context.log;
    log.info("Cleaning up prior VM if needed");
    let existing = match context.hosts.find(&spec.name).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
        existing => existing.context("cannot look for the host of this name")?,
    };
    if existing.state != HostState::Unfinished {
        let plan = context.hosts.plan(spec.clone()).await;
        let plan = plan.context("cannot plan")?;
        let remains = |finding: &&Finding| {
            finding.severity == Severity::Error && finding.kind() != Some(&ErrorKind::AlreadyExists)
        };
        if plan.findings().iter().any(|finding| remains(&finding)) {
            for finding in plan.findings().iter().filter(remains) {
                log.finding(finding);
            }
            bail!(
                "{0} cannot be installed like this; the existing {0} stays",
                spec.name
            );
        }
    }
    let policy = ContainerPolicy::Remove;
    match context.hosts.delete(&spec.name, policy).await {
        Err(error) if error.kind == ErrorKind::NotFound => {}
        deleted => {
            deleted.context("cannot delete the host of this name")?;
        }
    }
    Ok(())
}

/// Runs `vch create`, which behaves like vic-machine.
pub(crate) async fn machine(context: &Context<'_>, create: &Create) -> Result<()> {
    let log = &context.log;
    let name = create.named.name();
    log.info("### Installing VCH ####");
    let mut spec = spec(
        context,
        name,
        (create.appliance_iso.as_ref(), create.bootstrap_iso.as_ref()),
    );
    let mut problems = Problems::new(spec.resource());
    let tls = tls(context, create, &mut problems);
    let place = &context.endpoint.place;
    spec.compute = create.compute_resource.clone().or(place.compute.clone());
    spec.datastore = create.image_store.clone().or(place.datastore.clone());
    spec.bridge_network = create.bridge_network.clone().or(place.network.clone());
    spec.create_bridge = !context.client.is_vcenter();
    let range = create.scopes.range().map_err(Into::into);
    let remedy = "correct --bridge-network-range or --bridge-network-width";
    if let Some(range) = problems.keep("bridge_range", range, remedy) {
        spec.bridge_range = range;
    }
    spec.scope_networks = create.scopes.scope_network.clone();
    spec.scope_vlans = create.scopes.scope_vlans;
    spec.public_network = public(&create.public_network, spec.bridge_network.as_deref());
    spec.client_network = create.client_network.clone();
    spec.management_network = create.management_network.clone();
    create.addresses.apply(&mut spec, &mut problems);
    spec.address = create.line_address.clone();
    spec.pool = create.pool.allocation();
    spec.cpus = create.appliance_cpu;
    spec.memory_mib = create.appliance_memory;
    spec.address_timeout = waits(create.timeout);
    spec.component_timeout = spec.address_timeout.and(waits(create.component_timeout));
    spec.components = components(!create.no_tls);
    create.programs.apply(&mut spec, &mut problems);
    spec.create_options.clone_from(&context.given);
    spec.certificates = tls.certificates;
    log.info("Validating supplied configuration");
    let job = (create.dry_run, problems);
    let Some(host) = carry_out(context, spec, "public", job).await? else {
        return Ok(());
    };
    log.info("Initialization of appliance successful");
    finish::machine(context, &host, tls.files.as_ref(), tls.directory.as_deref()).await
}

/// The certificates of an installation.
#[derive(Default)]
struct Tls {
    /// The files that a client needs.
    files: Option<Certificates>,
    /// The directory of generated certificates.
    directory: Option<PathBuf>,
    /// The certificates of the appliance.
    certificates: Option<ApplianceCertificates>,
}

/// Reads or generates the certificates of `vch create`.
fn tls(context: &Context<'_>, create: &Create, problems: &mut Problems) -> Tls {
    const FIELD: &str = "certificates";
    let log = &context.log;
    let name = create.named.name();
    let directory = create.tls_cert_path.clone();
    let directory = directory.unwrap_or_else(|| PathBuf::from(name));
    let mut authorities = pem("--tls-ca", &create.tls_ca, FIELD, problems);
    if let (Some(certificate), Some(key)) = (&create.tls_server_cert, &create.tls_server_key) {
        let remedy = "name a pair with --tls-server-cert and --tls-server-key";
        let files = given(Some(certificate), Some(key));
        let Some(files) = problems.keep(FIELD, files, remedy) else {
            return Tls::default();
        };
        let read = certificates_of((certificate, key), authorities);
        return Tls {
            files,
            directory: None,
            certificates: problems.keep(FIELD, read, remedy),
        };
    }
    let cname = create.tls_cname.as_deref().unwrap_or(name);
    if !create.no_tls && !is_server_name(cname) {
        let wrong = anyhow!("{cname:?} cannot be the name of a server");
        let remedy = "set --tls-cname to its name or address";
        problems.keep::<()>(FIELD, Err(wrong), remedy);
        return Tls::default();
    }
    // A dry run reads certificates that exist, and generates none.
    let is_generated = directory.join("server-key.pem").exists();
    if create.no_tls || create.dry_run && !is_generated {
        return Tls::default();
    }
    let made = certificates::directory(&directory, &[cname.to_owned()]);
    let remedy = "name another directory with --tls-cert-path, or use --no-tls";
    let Some((mut files, generated)) = problems.keep(FIELD, made, remedy) else {
        return Tls::default();
    };
    let shown = directory.display();
    if generated {
        log.info(&format!(
            "Generating certificate/key pair - private key in {shown}/server-key.pem"
        ));
    } else {
        log.info(&format!("Loaded certificates of {shown}"));
    }
    if create.no_tls_verify {
        files.authority = None;
    }
    authorities.push_str(&pem(
        "--tls-cert-path",
        files.authority.as_slice(),
        FIELD,
        problems,
    ));
    let server = (
        &directory.join("server-cert.pem"),
        &directory.join("server-key.pem"),
    );
    let read = certificates_of(server, authorities);
    Tls {
        files: Some(files),
        directory: Some(directory),
        certificates: problems.keep(FIELD, read, remedy),
    }
}

/// Returns the public network, except if it is only the default and also the bridge network.
fn public(name: &str, bridge: Option<&str>) -> Option<String> {
    let is_default = name == DEFAULT_NETWORK && bridge == Some(name);
    (!is_default).then(|| name.to_owned())
}

/// Returns whether a certificate can contain this name: a DNS name, with or without a wildcard, or an
/// address.
fn is_server_name(name: &str) -> bool {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"-_.:*".contains(&b);
    !name.is_empty() && name.bytes().all(is_known)
}

fn certificates_of(
    (certificate, key): (&PathBuf, &PathBuf),
    authorities: String,
) -> Result<ApplianceCertificates> {
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let certificates = ApplianceCertificates::new(read(certificate)?, read(key)?);
    Ok(certificates.authorities(authorities))
}

fn waits(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

fn given(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Certificates>> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(None);
    };
    certificates::check(certificate, key)?;
    Ok(Some(Certificates {
        authority: None,
        certificate: certificate.into(),
        key: key.into(),
    }))
}

fn spec(
    context: &Context<'_>,
    name: &str,
    (appliance, bootstrap): (Option<&PathBuf>, Option<&PathBuf>),
) -> HostSpec {
    let appliance = image(appliance, "appliance.iso");
    let bootstrap = image(bootstrap, "bootstrap.iso");
    let mut spec = HostSpec::new(name, Iso::file(appliance), Iso::file(bootstrap));
    spec.datacenter = context.endpoint.place.datacenter.clone();
    spec
}

/// Plans the installation and applies the plan; returns `None` after a dry run. With problems of the
/// options, all findings are reported, and nothing is changed.
async fn carry_out(
    context: &Context<'_>,
    spec: HostSpec,
    outside: &str,
    (dry_run, problems): (bool, Problems),
) -> Result<Option<HostInfo>> {
    let log = &context.log;
    let name = spec.name.clone();
    let sharing = sharing(&spec, outside);
    let mut plan = context.hosts.plan(spec).await.context("cannot plan")?;
    problems.add_to(&mut plan);
    if dry_run {
        print_plan(context, &plan)?;
        if !plan.is_ready() {
            bail!("{name} cannot be installed like this");
        }
        return Ok(None);
    }
    log.findings(&plan);
    if !plan.is_ready() {
        bail!("{name} cannot be installed like this; nothing was changed");
    }
    let observer = InstallLog {
        log,
        name: name.clone(),
        sharing,
    };
    match context.hosts.apply(plan, &observer).await {
        Ok(host) => Ok(Some(host)),
        Err(error) => {
            let missing = match error.step() {
                InstallStep::Address => Some("reported no address in time"),
                InstallStep::Components => Some("did not start all components"),
                _ => None,
            };
            if let Some(missing) = missing {
                log.error(&format!(
                    "the appliance {missing}; {name} stays as it is: the same \
                     command waits again, `vch delete {name}` removes it"
                ));
            }
            Err(error.into())
        }
    }
}

fn print_plan(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let text = if context.json {
        format!("{}\n", serde_json::to_string_pretty(plan)?)
    } else {
        plan.to_string()
    };
    write!(Output::new(), "{}", in_options(&text, context.log.style()))?;
    Ok(())
}

/// Returns a line for each network role that has no network card of its own.
fn sharing(spec: &HostSpec, outside: &str) -> Vec<String> {
    let public = spec.public_network.as_deref();
    let roles = [
        ("client", spec.client_network.as_deref()),
        ("management", spec.management_network.as_deref()),
    ];
    roles
        .into_iter()
        .filter(|(_, name)| name.is_none() || *name == public)
        .map(|(role, _)| format!("Network role {role} is sharing NIC with {outside}"))
        .collect()
}
