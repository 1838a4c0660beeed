//! Questions to the user.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Result, bail};

/// Asks for a password without showing it.
///
/// # Errors
/// Fails if there is no terminal.
pub(crate) fn password(user: &str, server: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no password for {user}@{server}: set GOVC_PASSWORD");
    }
    let _hidden = hide();
    let answer = ask(&format!("Password of {user}@{server}: "))?;
    let _ = writeln!(std::io::stderr());
    Ok(answer)
}

/// Asks whether to trust a certificate, in the words of ssh.
///
/// # Errors
/// Fails if there is no terminal, or if the answer is no.
pub(crate) fn trust(server: &str, thumbprint: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "the certificate of {server} is not trusted; if its SHA-256 thumbprint is \
             {thumbprint}, give --thumbprint {thumbprint}"
        );
    }
    let question = format!(
        "The authenticity of host '{server}' can't be established.\n\
         SHA-256 thumbprint of its certificate is {thumbprint}.\n\
         Are you sure you want to continue connecting (yes/no)? "
    );
    match ask(&question)?.as_str() {
        "yes" => Ok(()),
        _ => bail!("the certificate of {server} was not accepted"),
    }
}

fn ask(question: &str) -> Result<String> {
    let mut stderr = std::io::stderr();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\n', '\r']).to_owned())
}

/// The terminal's settings, restored when dropped.
#[cfg(unix)]
struct Hidden(rustix::termios::Termios);

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        let when = rustix::termios::OptionalActions::Now;
        let _ = rustix::termios::tcsetattr(std::io::stdin(), when, &self.0);
    }
}

#[cfg(unix)]
fn hide() -> Option<Hidden> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet).ok()?;
    Some(Hidden(before))
}

#[cfg(not(unix))]
fn hide() {}
