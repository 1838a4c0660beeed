//! An ESXi host to point clients at.
#![expect(clippy::print_stdout, reason = "what a command has to say")]

use std::path::PathBuf;

use clap::Parser;
use simulator::Simulator;

/// Serves a simulated ESXi host on 127.0.0.1 until it is interrupted or told to end.
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
    /// What identifiers are made from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    let simulator = builder.start().await?;
    println!("url {}", simulator.url());
    println!("thumbprint {}", simulator.thumbprint());
    println!("datastore {}", simulator.datastore_directory().display());
    interrupted().await?;
    simulator.shutdown().await;
    Ok(())
}

/// Waits until the command is interrupted or told to end.
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
