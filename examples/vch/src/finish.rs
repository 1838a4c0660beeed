//! Prints how to use a host after its installation.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use portlayer::vsphere::HostInfo;

use crate::Context;
use crate::appliance::{PLAIN, TLS};
use examples::certificates::Certificates;
use examples::output::Output;

/// Prints the lines of the script of VIC 0.1.
pub(crate) async fn script(
    context: &Context<'_>,
    host: &HostInfo,
    files: Option<&Certificates>,
) -> Result<()> {
    let log = &context.log;
    let docker_host = docker_host(context, host, files.is_some()).await?;
    log.info("");
    log.info("SSH to appliance: it has no SSH server");
    log.info("");
    log.info("Log server: the appliance has none");
    log.info("");
    log.info("Connect to docker:");
    let options = docker_options(files);
    log.info(format!("docker -H {docker_host} {options}").trim_end());
    log.bare(&format!("DOCKER_OPTS=\"{options}\""));
    log.bare(&format!("DOCKER_HOST={docker_host}"));
    json(context, host)
}

/// Prints the lines of vic-machine, and writes the environment file `NAME.env` to the
/// directory of the certificates if there is one.
pub(crate) async fn machine(
    context: &Context<'_>,
    host: &HostInfo,
    files: Option<&Certificates>,
    directory: Option<&Path>,
) -> Result<()> {
    let log = &context.log;
    let docker_host = docker_host(context, host, files.is_some()).await?;
    let mut environment = format!("DOCKER_HOST={docker_host}\n");
    if let (Some(directory), Some(true)) = (directory, files.map(|files| files.authority.is_some()))
    {
        let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.into());
        environment = format!(
            "DOCKER_TLS_VERIFY=1\nDOCKER_CERT_PATH={}\n{environment}",
            directory.display()
        );
    }
    let file = directory
        .unwrap_or(Path::new("."))
        .join(format!("{}.env", host.name));
    std::fs::write(&file, &environment)
        .with_context(|| format!("cannot write {}", file.display()))?;
    log.info("");
    log.info("Log server: the appliance has none");
    log.info("");
    for line in environment.lines() {
        log.info(line);
    }
    log.info(&format!("Environment saved in {}", file.display()));
    log.info("");
    log.info("Connect to docker:");
    let options = docker_options(files);
    log.info(&format!("docker -H {docker_host} {options} info").replace("  ", " "));
    log.info("Installer completed successfully");
    json(context, host)
}

/// Returns the address of the Docker API.
async fn docker_host(context: &Context<'_>, host: &HostInfo, tls: bool) -> Result<String> {
    let addresses = context.hosts.addresses(&host.name).await?;
    let port = if tls { TLS } else { PLAIN };
    Ok(match addresses.first() {
        Some(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Some(IpAddr::V4(address)) => format!("{address}:{port}"),
        None => format!("{}:{port}", host.name),
    })
}

fn docker_options(files: Option<&Certificates>) -> String {
    let Some(files) = files else {
        return String::new();
    };
    let pair = format!(
        "--tlscert='{}' --tlskey='{}'",
        files.certificate.display(),
        files.key.display()
    );
    match &files.authority {
        Some(authority) => format!("--tlsverify --tlscacert='{}' {pair}", authority.display()),
        None => format!("--tls {pair}"),
    }
}

fn json(context: &Context<'_>, host: &HostInfo) -> Result<()> {
    if context.json {
        writeln!(Output::new(), "{}", serde_json::to_string_pretty(host)?)?;
    }
    Ok(())
}
