//! Converts the options of `docker create` to a container specification of the port layer.

use std::collections::BTreeMap;

use portlayer::ContainerId;
use portlayer::exec::{Command, ContainerSpec, Limit, LimitKind, Resources, RootFs, Signal};
use portlayer::image::ImageInfo;

use crate::error::{ApiError, Result};
use crate::options::{CreateBody, HostConfig, PortBinding, Ulimit, Words};
use crate::view::{ANNOTATION, Attached, Extras};
use crate::{connections, ports};

const MIB: i64 = 1 << 20;
/// The least memory that docker accepts, in bytes.
const MEMORY_MIN: i64 = 6 * MIB;
/// The memory of machines is a multiple of this, in MiB.
const MEMORY_STEP: u64 = 4;

/// Combines the image's defaults with the user's options, as docker does.
pub(crate) fn request(
    id: ContainerId,
    name: String,
    image: &ImageInfo,
    body: CreateBody,
    host: HostConfig,
) -> Result<ContainerSpec> {
    let process = image.config.process();
    let list = |words: Option<Words>| words.map(Words::into_list);
    let (cmd, entrypoint) = match (list(body.cmd), list(body.entrypoint)) {
        // An entrypoint of the user replaces the image's command, too.
        (cmd, Some(entrypoint)) if !entrypoint.is_empty() => {
            // `--entrypoint ""` resets the entrypoint and is sent as one empty word.
            let entrypoint = match entrypoint.as_slice() {
                [word] if word.is_empty() => Vec::new(),
                _ => entrypoint,
            };
            (cmd.unwrap_or_default(), entrypoint)
        }
        (cmd, _) => {
            let cmd = cmd.filter(|cmd| !cmd.is_empty());
            (
                cmd.unwrap_or_else(|| process.cmd.clone()),
                process.entrypoint.clone(),
            )
        }
    };
    let words: Vec<String> = entrypoint.iter().chain(&cmd).cloned().collect();
    let Some((program, args)) = words.split_first() else {
        return Err(ApiError::bad_request("no command specified"));
    };
    if program.is_empty() {
        return Err(ApiError::bad_request("no command specified"));
    }
    let working_dir = body
        .working_dir
        .filter(|directory| !directory.is_empty())
        .or_else(|| Some(process.working_dir.clone()).filter(|directory| !directory.is_empty()));
    let mut command = Command::new(program.clone())
        .args(args.iter().cloned())
        .tty(body.tty)
        .open_stdin(body.open_stdin);
    let host_name = body.hostname.filter(|name| !name.is_empty());
    let shown_name = host_name.clone().unwrap_or_else(|| id.short());
    for (name, value) in environment(
        &process.env,
        body.env.as_deref().unwrap_or_default(),
        &shown_name,
        body.tty,
    )? {
        command = command.env(name, value);
    }
    if let Some(directory) = working_dir {
        if !directory.starts_with('/') {
            return Err(ApiError::bad_request(format!(
                "the working directory '{directory}' is invalid, it needs to be an absolute path"
            )));
        }
        command = command.working_dir(directory);
    }
    let user = body
        .user
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| process.user.clone());
    let (name_part, group_part) = user.split_once(':').unwrap_or((&user, ""));
    if !name_part.is_empty() {
        command = command.user(name_part);
    }
    if !group_part.is_empty() {
        command = command.group(group_part);
    }
    let stop_signal = body
        .stop_signal
        .filter(|signal| !signal.is_empty())
        .or_else(|| process.stop_signal.clone());
    if let Some(signal) = &stop_signal {
        let parsed: Signal = signal
            .parse()
            .map_err(|_| ApiError::bad_request(format!("invalid signal: {signal}")))?;
        command = command.stop_signal(parsed);
    }
    for ulimit in host.ulimits.iter().flatten() {
        command = command.limit(limit(ulimit)?);
    }
    let mut labels: BTreeMap<String, String> = process.labels.clone();
    labels.extend(body.labels.unwrap_or_default());
    let mut exposed = process.exposed_ports.clone();
    exposed.extend(body.exposed_ports.unwrap_or_default().into_keys());
    exposed.sort();
    exposed.dedup();
    let port_bindings = bindings(&host, &exposed);
    // A published port is also exposed.
    exposed.extend(port_bindings.keys().cloned());
    exposed.sort();
    exposed.dedup();
    let ports = ports::mappings(&port_bindings)?;
    let endpoints = connections::endpoints(&host, body.networking_config, ports)?;
    let mut resources = Resources::new();
    if let Some(memory) = memory(host.memory)? {
        resources = resources.memory_mib(memory);
    }
    if let Some(cpus) = cpus(&host) {
        resources = resources.cpus(cpus);
    }
    let extras = Extras {
        stdin_once: body.stdin_once,
        auto_remove: host.auto_remove,
        attached: Attached {
            stdin: body.attach_stdin,
            stdout: body.attach_stdout,
            stderr: body.attach_stderr,
        },
        user,
        created: jiff::Timestamp::now().to_string(),
        entrypoint: entrypoint.len(),
        stop_timeout: body.stop_timeout,
        exposed_ports: exposed,
        port_bindings,
    };
    let extras =
        serde_json::to_string(&extras).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut spec = ContainerSpec::new(name, command)
        .id(id)
        .root(RootFs::image(image.id, body.image))
        .resources(resources)
        .annotation(ANNOTATION, extras);
    if let Some(name) = host_name {
        spec = spec.host_name(name);
    }
    spec.endpoints = endpoints;
    spec.labels = labels;
    Ok(spec)
}

/// Returns a limit of the process.
fn limit(ulimit: &Ulimit) -> Result<Limit> {
    let kind: LimitKind = ulimit
        .name
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid ulimit type: {}", ulimit.name)))?;
    let amount = |number: i64| match number {
        -1 => Ok(None),
        number => u64::try_from(number).map(Some).map_err(|_| {
            ApiError::bad_request(format!("invalid ulimit {kind}: {number} is negative"))
        }),
    };
    let mut limit = Limit::unlimited(kind);
    (limit.soft, limit.hard) = (amount(ulimit.soft)?, amount(ulimit.hard)?);
    Ok(limit)
}

/// Returns the image's environment variables, overridden and extended by the user's, and those that
/// docker adds.
fn environment(
    image: &[String],
    user: &[String],
    hostname: &str,
    tty: bool,
) -> Result<Vec<(String, String)>> {
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut variables: Vec<(String, String)> = vec![("PATH".into(), PATH.into())];
    variables.push(("HOSTNAME".into(), hostname.into()));
    if tty {
        variables.push(("TERM".into(), "xterm".into()));
    }
    for text in image.iter().chain(user) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            // A name without a value removes the variable.
            None => (text.as_str(), None),
        };
        if name.is_empty() {
            return Err(ApiError::bad_request(format!(
                "invalid environment variable: {text}"
            )));
        }
        let known = variables.iter_mut().find(|(known, _)| known == name);
        match (known, value) {
            (Some((_, old)), Some(value)) => value.clone_into(old),
            (None, Some(value)) => variables.push((name.into(), value.into())),
            (_, None) => variables.retain(|(known, _)| known != name),
        }
    }
    Ok(variables)
}

/// Returns every published port with the addresses where it is published.
fn bindings(host: &HostConfig, exposed: &[String]) -> BTreeMap<String, Vec<PortBinding>> {
    let mut bindings: BTreeMap<String, Vec<PortBinding>> = host
        .port_bindings
        .iter()
        .flatten()
        .map(|(port, bindings)| (port.clone(), bindings.clone().unwrap_or_default()))
        .collect();
    if host.publish_all_ports {
        for port in exposed {
            bindings
                .entry(port.clone())
                .or_insert_with(|| vec![PortBinding::default()]);
        }
    }
    bindings
}

/// Converts memory to MiB, rounded up to a size that machines can have.
fn memory(bytes: i64) -> Result<Option<u64>> {
    if bytes == 0 {
        return Ok(None);
    }
    if bytes < MEMORY_MIN {
        return Err(ApiError::bad_request("Minimum memory limit allowed is 6MB"));
    }
    let mib = u64::try_from(bytes.div_euclid(MIB)).unwrap_or_default();
    let mib = mib + u64::from(bytes % MIB != 0);
    Ok(Some(mib.next_multiple_of(MEMORY_STEP)))
}

/// Returns the number of whole processors, rounded up.
fn cpus(host: &HostConfig) -> Option<u32> {
    const NANO: i64 = 1_000_000_000;
    /// The kernel's default period in microseconds.
    const PERIOD: i64 = 100_000;
    let up = |value: i64, unit: i64| value / unit + i64::from(value % unit != 0);
    let cpus = if host.nano_cpus > 0 {
        up(host.nano_cpus, NANO)
    } else if host.cpu_quota > 0 {
        let period = if host.cpu_period > 0 {
            host.cpu_period
        } else {
            PERIOD
        };
        up(host.cpu_quota, period)
    } else {
        host.cpu_count
    };
    u32::try_from(cpus).ok().filter(|cpus| *cpus > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use portlayer::image::ImageConfig;
    use serde_json::{Value, json};

    use super::*;

    fn image() -> ImageInfo {
        let config = json!({ "config": {
            "Env": ["PATH=/bin", "A=1"], "Entrypoint": ["/entry"], "Cmd": ["default"],
            "Labels": { "from": "image" },
        }});
        ImageInfo::new(
            ImageConfig::parse(config.to_string().into_bytes()).unwrap(),
            0,
            0,
        )
    }

    fn made(body: Value) -> Result<ContainerSpec> {
        let mut body: CreateBody = serde_json::from_value(body).unwrap();
        body.image = "i".into();
        let (host, _) = crate::options::check(&mut body)?;
        request(ContainerId::generate(), "name".into(), &image(), body, host)
    }

    fn line(body: Value) -> String {
        made(body).unwrap().command.to_string()
    }

    #[test]
    fn the_users_command_replaces_the_images_and_an_entrypoint_both() {
        assert_eq!(line(json!({})), "/entry default");
        assert_eq!(line(json!({ "Cmd": ["x", "y"] })), "/entry x y");
        assert_eq!(line(json!({ "Entrypoint": ["/e"] })), "/e");
        assert_eq!(line(json!({ "Entrypoint": [""], "Cmd": ["x"] })), "x");
        let Err(error) = made(json!({ "Entrypoint": [""] })) else {
            panic!("nothing to run")
        };
        assert_eq!(error.message, "no command specified");
    }

    #[test]
    fn variables_and_labels_are_merged() {
        let made = made(json!({ "Env": ["A=2", "B=x=y", "HOSTNAME"], "Labels": { "to": "user" } }));
        let spec = made.unwrap();
        let variables: Vec<String> = spec
            .command
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(variables, ["PATH=/bin", "A=2", "B=x=y"]);
        assert_eq!(spec.labels.len(), 2);
    }

    #[test]
    fn memory_and_processors_are_rounded_up() {
        assert_eq!(memory(0).unwrap(), None);
        assert_eq!(memory(7 << 20).unwrap(), Some(8));
        assert_eq!(memory((512 << 20) + 1).unwrap(), Some(516));
        assert!(memory(1).is_err());
        let host = HostConfig {
            nano_cpus: 1_500_000_000,
            ..HostConfig::default()
        };
        assert_eq!(cpus(&host), Some(2));
        let host = HostConfig {
            cpu_quota: 50_000,
            ..HostConfig::default()
        };
        assert_eq!(cpus(&host), Some(1));
    }
}
