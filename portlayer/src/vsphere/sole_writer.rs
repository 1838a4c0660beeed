//! Ensures that a host has only one writer, and lets another writer take over.
//!
//! The writer's name is stored in keys of the host's appliance that the appliance's guest cannot
//! see, together with an epoch that each takeover increments. A new writer adds a claim. The
//! current writer watches the appliance and refuses each claim by answering it. If a claim is not
//! answered in time, the claimant takes over. If the former writer comes back, it notices the
//! takeover through its watch, and sends no more changes.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;
use vim25::types::VirtualMachineConfigSpec;

use super::endpoint::{Endpoint, Fence, Machine};
use super::host_objects::HostObjects;
use super::machine_spec::options;
use super::record::Keys;
use crate::{Error, ErrorKind, Resource, Result};

const WRITER: &str = "portlayer/writer";
const CLAIM: &str = "portlayer/claim";
const ANSWER: &str = "portlayer/answer";

/// Maximum number of attempts to claim the host while the appliance is changed concurrently.
const ROUNDS: u32 = 20;

/// Delay before the appliance is watched again after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Timeout of releasing the host.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// The exclusive right of this process to write, until this value is dropped or another writer
/// takes over.
#[derive(Debug)]
pub(super) struct SoleWriter {
    fence: Fence,
    /// Dropping this ends the task that answers claims; the task then releases the host.
    _stop: oneshot::Sender<()>,
}

impl SoleWriter {
    pub(super) fn fence(&self) -> Fence {
        self.fence.clone()
    }
}

/// The writer and the claims in the keys of the appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Claims {
    writer: Option<Named>,
    claim: Option<String>,
    answer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    epoch: u64,
    name: String,
}

impl Claims {
    fn read(keys: &Keys) -> Self {
        let text = |key: &str| keys.get(key).filter(|text| !text.is_empty()).cloned();
        Self {
            writer: text(WRITER).map(|text| Named::parse(&text)),
            claim: text(CLAIM),
            answer: text(ANSWER),
        }
    }

    /// Returns the unanswered claim.
    fn open(&self) -> Option<&String> {
        self.claim
            .as_ref()
            .filter(|claim| self.answer.as_ref() != Some(claim))
    }
}

impl Named {
    /// Parses a writer. A damaged value counts as a writer of epoch zero.
    fn parse(text: &str) -> Self {
        let parsed = text
            .split_once(' ')
            .and_then(|(epoch, name)| Some((epoch.parse().ok()?, name)));
        let (epoch, name) = parsed.unwrap_or((0, text));
        Self {
            epoch,
            name: name.to_owned(),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.epoch, self.name)
    }
}

/// The result of a claim.
enum Outcome {
    Answered,
    /// The keys now contain another writer or claim.
    Changed,
    Ignored,
}

struct Contender<'a> {
    endpoint: &'a Endpoint,
    objects: &'a HostObjects,
    host: Resource,
}

/// Becomes the only writer of a host.
///
/// # Errors
/// [`InUse`](ErrorKind::InUse) with the name of the writer that refused the claim.
pub(super) async fn claim(
    endpoint: &Endpoint,
    objects: &HostObjects,
    patience: Duration,
) -> Result<SoleWriter> {
    let contender = Contender {
        endpoint,
        objects,
        host: objects.host(),
    };
    let name = Uuid::new_v4().simple().to_string();
    for _ in 0..ROUNDS {
        let appliance = contender.read().await?;
        let claims = Claims::read(&appliance.keys.unpack());
        let epoch = match &claims.writer {
            None => 1,
            Some(writer) => match contender.contest(&appliance, &claims, patience).await? {
                Outcome::Ignored => writer.epoch.saturating_add(1),
                Outcome::Changed => continue,
                Outcome::Answered => {
                    let by = format!("writer {}", writer.name).into();
                    return Err(Error::new(ErrorKind::InUse { by }, contender.host));
                }
            },
        };
        let me = Named {
            epoch,
            name: name.clone(),
        };
        if contender.take(&claims.writer, &me).await? {
            tracing::debug!(host = objects.name, epoch, "became the only writer");
            return Ok(start(endpoint.clone(), objects.clone(), me));
        }
    }
    Err(Error::conflict(contender.host, [WRITER.to_owned()]))
}

impl Contender<'_> {
    async fn read(&self) -> Result<Machine> {
        self.endpoint
            .machine(&self.objects.appliance, &self.host)
            .await
    }

    /// Changes keys of the appliance. Returns `false` if the appliance was changed after it was
    /// read.
    async fn write(&self, read: &Machine, keys: &[(&str, &str)]) -> Result<bool> {
        let keys = keys
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let change = VirtualMachineConfigSpec {
            change_version: read.change_version.clone(),
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        let vm = &self.objects.appliance;
        match self.endpoint.reconfigure(vm, &change, &self.host).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Claims the host of another writer and waits for that writer's answer. If there are several
    /// claims, the answer to the first one counts for all.
    async fn contest(
        &self,
        appliance: &Machine,
        claims: &Claims,
        patience: Duration,
    ) -> Result<Outcome> {
        let nonce = match claims.open() {
            Some(claim) => claim.clone(),
            None => {
                let nonce = Uuid::new_v4().simple().to_string();
                if !self.write(appliance, &[(CLAIM, &nonce)]).await? {
                    return Ok(Outcome::Changed);
                }
                nonce
            }
        };
        let vm = &self.objects.appliance;
        let mut is_shown = false;
        let answer = self.endpoint.watch(vm, &self.host, |machine| {
            let now = Claims::read(&machine.keys.unpack());
            is_shown |= now.claim.as_ref() == Some(&nonce);
            if now.answer.as_ref() == Some(&nonce) {
                ControlFlow::Break(Outcome::Answered)
            } else if now.writer != claims.writer
                || (is_shown && now.claim.as_ref() != Some(&nonce))
            {
                ControlFlow::Break(Outcome::Changed)
            } else {
                ControlFlow::Continue(())
            }
        });
        timeout(patience, answer)
            .await
            .unwrap_or(Ok(Outcome::Ignored))
    }

    /// Becomes the writer, if `before` is still the current one. Returns whether that succeeded.
    async fn take(&self, before: &Option<Named>, me: &Named) -> Result<bool> {
        let appliance = self.read().await?;
        let claims = Claims::read(&appliance.keys.unpack());
        let is_answered = claims.claim.is_some() && claims.open().is_none();
        if claims.writer != *before || (before.is_some() && is_answered) {
            return Ok(false);
        }
        let keys = [
            (WRITER, me.text()),
            (CLAIM, String::new()),
            (ANSWER, String::new()),
        ];
        let keys = keys.each_ref().map(|(key, text)| (*key, text.as_str()));
        if !self.write(&appliance, &keys).await? {
            return Ok(false);
        }
        // If an endpoint accepts changes with outdated versions, the last writer wins.
        let now = Claims::read(&self.read().await?.keys.unpack());
        Ok(now.writer.as_ref() == Some(me))
    }
}

fn start(endpoint: Endpoint, objects: HostObjects, me: Named) -> SoleWriter {
    let fence = Fence::default();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(keep(endpoint, objects, me, fence.clone(), stopped));
    SoleWriter { fence, _stop: stop }
}

/// The next action of the writer's task.
enum Task {
    Answer(Box<Machine>, String),
    /// The keys were lost, for example when the appliance was restarted, and have to be written
    /// again.
    Renew(Box<Machine>),
    Leave(Named),
}

/// Answers claims until the host is released or another writer has taken over.
async fn keep(
    endpoint: Endpoint,
    objects: HostObjects,
    me: Named,
    fence: Fence,
    mut stopped: oneshot::Receiver<()>,
) {
    let contender = Contender {
        endpoint: &endpoint,
        objects: &objects,
        host: objects.host(),
    };
    loop {
        let due = endpoint.watch(&objects.appliance, &contender.host, |machine| {
            let claims = Claims::read(&machine.keys.unpack());
            match (&claims.writer, claims.open()) {
                (None, _) => ControlFlow::Break(Task::Renew(Box::new(machine))),
                (Some(writer), _) if *writer != me => {
                    ControlFlow::Break(Task::Leave(writer.clone()))
                }
                (Some(_), Some(claim)) => {
                    let claim = claim.clone();
                    ControlFlow::Break(Task::Answer(Box::new(machine), claim))
                }
                (Some(_), None) => ControlFlow::Continue(()),
            }
        });
        let due = tokio::select! {
            due = due => due,
            _ = &mut stopped => break,
        };
        let written = match due {
            Ok(Task::Answer(read, claim)) => contender.write(&read, &[(ANSWER, &claim)]).await,
            Ok(Task::Renew(read)) => contender.write(&read, &[(WRITER, &me.text())]).await,
            Ok(Task::Leave(other)) => {
                tracing::warn!(
                    host = objects.name,
                    writer = other.name,
                    "another writer took over"
                );
                return fence.close(format!("writer {}", other.name));
            }
            Err(error) if error.is_not_found() => return fence.close("the host's removal"),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::debug!(host = objects.name, %error, "cannot answer a claim");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = &mut stopped => break,
            }
        }
    }
    let release = async {
        for _ in 0..ROUNDS {
            let appliance = contender.read().await?;
            let is_mine = Claims::read(&appliance.keys.unpack()).writer.as_ref() == Some(&me);
            if !is_mine
                || contender
                    .write(&appliance, &[(WRITER, ""), (CLAIM, ""), (ANSWER, "")])
                    .await?
            {
                break;
            }
        }
        Ok::<_, Error>(())
    };
    // Best effort: if this fails, the next writer waits until its claim times out.
    if let Ok(Err(error)) = timeout(RELEASED_WITHIN, release).await {
        tracing::debug!(host = objects.name, %error, "cannot release the host");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_as_written() {
        let named = Named {
            epoch: 7,
            name: "a".to_owned(),
        };
        assert_eq!(Named::parse(&named.text()), named);
        let mut keys = Keys::new();
        keys.insert(WRITER.to_owned(), named.text());
        keys.insert(CLAIM.to_owned(), "1".to_owned());
        let claims = Claims::read(&keys);
        assert_eq!(claims.writer, Some(named));
        assert_eq!(claims.open().map(String::as_str), Some("1"));
        keys.insert(ANSWER.to_owned(), "1".to_owned());
        assert_eq!(Claims::read(&keys).open(), None);
        keys.insert(WRITER.to_owned(), String::new());
        assert_eq!(Claims::read(&keys).writer, None);
    }

    #[test]
    fn a_damaged_writer_is_one_that_can_be_replaced() {
        for text in ["", "x", "x y", "-1 y"] {
            assert_eq!(Named::parse(text).epoch, 0);
        }
    }
}
