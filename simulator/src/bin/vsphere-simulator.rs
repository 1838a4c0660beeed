//! A simulated ESXi host that clients can connect to.
#![expect(clippy::print_stdout, reason = "what a command has to say")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;
use simulator::{Program, Simulator, Tether};

/// Serves a simulated ESXi host on 127.0.0.1 until it is interrupted or terminated.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 8_989)]
    port: u16,
    /// The user who can log in.
    #[arg(long, default_value = "root")]
    user: String,
    /// The user's password.
    #[arg(
        long,
        default_value = "vmware",
        env = "SIMULATOR_PASSWORD",
        hide_env_values = true
    )]
    password: String,
    /// Directory for the datastore's files, kept; a temporary one if it is not given.
    #[arg(long)]
    datastore: Option<PathBuf>,
    /// JSON file with the programs that containers can run: a list of objects with `path`, and
    /// optionally `status` (exit status), `seconds` (run time) and `ignores` (signal numbers). A
    /// program without a status runs until a signal ends it.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Seed of the generated identifiers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A program of the file that `--programs` names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    path: String,
    status: Option<i32>,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    ignores: Vec<i32>,
}

/// A guest that runs the programs of a file.
fn tether(file: &Path) -> Result<Tether, Box<dyn Error>> {
    let refused = |error: &dyn std::fmt::Display| format!("cannot use {}: {error}", file.display());
    let text = std::fs::read(file).map_err(|error| refused(&error))?;
    let programs: Vec<Scripted> = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
    let mut tether = Tether::new();
    for scripted in programs {
        let time = Duration::try_from_secs_f64(scripted.seconds).map_err(|error| {
            refused(&format!(
                "the time of {} is no time: {error}",
                scripted.path
            ))
        })?;
        let program = scripted
            .status
            .map_or_else(Program::forever, Program::exits);
        let ignores = scripted.ignores.into_iter();
        let program = ignores.fold(program.after(time), Program::ignores);
        tether = tether.program(scripted.path, program);
    }
    Ok(tether)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let mut builder = Simulator::builder()
        .port(options.port)
        .user(options.user)
        .password(options.password)
        .seed(options.seed);
    if let Some(directory) = options.datastore {
        builder = builder.datastore_directory(directory);
    }
    if let Some(file) = &options.programs {
        builder = builder.guest(tether(file)?);
    }
    let simulator = builder.start().await?;
    println!("url {}", simulator.url());
    println!("thumbprint {}", simulator.thumbprint());
    println!("datastore {}", simulator.datastore_directory().display());
    interrupted().await?;
    simulator.shutdown().await;
    Ok(())
}

/// Waits until the command is interrupted or terminated.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut end = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = end.recv() => Ok(()),
            interrupt = tokio::signal::ctrl_c() => interrupt,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::tether;

    #[test]
    fn programs_are_read_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("programs.json");
        let text = r#"[{"path": "/bin/job", "status": 3, "seconds": 0.5, "ignores": [15]},
                       {"path": "/bin/serve"}]"#;
        std::fs::write(&file, text).unwrap();
        let debug = format!("{:?}", tether(&file).unwrap());
        assert!(
            debug.contains("/bin/job") && debug.contains("/bin/serve"),
            "{debug}"
        );
        for bad in [
            "",
            "{}",
            r#"[{"status": 3}]"#,
            r#"[{"path": "/a", "code": 3}]"#,
            r#"[{"path": "/a", "seconds": -1}]"#,
        ] {
            std::fs::write(&file, bad).unwrap();
            let error = tether(&file).unwrap_err().to_string();
            assert!(error.contains("programs.json"), "{error}");
        }
    }
}
