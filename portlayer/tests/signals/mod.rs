//! Signals as VIC sends them: guest commands, run through the guest's VMware Tools.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use simulator::{GuestProgram, GuestProgramRefusal};

use super::*;

/// The guest's reaction to a command.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Takes,
    Refuses,
    Nothing,
}

/// A guest command: user, password, program and arguments.
type Order = [String; 4];

/// A guest whose process ends with the signal that it receives.
#[derive(Clone, Debug)]
struct Tools {
    answer: Answer,
    orders: Arc<Mutex<Vec<Order>>>,
}

impl Tools {
    fn new(answer: Answer) -> Self {
        let orders = Arc::default();
        Self { answer, orders }
    }

    fn orders(&self) -> Vec<Order> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.clone()
    }
}

#[async_trait]
impl Guest for Tools {
    async fn run(&self, machine: GuestMachine) {
        let Ok(Some(id)) = machine.get("guestinfo.vice./sessions") else {
            return;
        };
        let say = |leaf: &str, text: &str| {
            let key = format!("guestinfo.vice..sessions|{id}.{leaf}");
            machine.set(&key, text).unwrap();
        };
        machine.set_tools_running(true);
        say("started", "true");
        let mut unanswered: Vec<GuestProgram> = Vec::new();
        loop {
            let program = machine.next_program().await;
            let order = [
                program.user.clone(),
                program.password().to_owned(),
                program.path.clone(),
                program.arguments.clone(),
            ];
            let ends = program.arguments == Signal::TERM.to_string();
            {
                let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
                orders.push(order);
            }
            match self.answer {
                Answer::Takes => program.started(7),
                Answer::Refuses => program.refuse(GuestProgramRefusal::NotFound),
                Answer::Nothing => unanswered.push(program),
            }
            if ends && matches!(self.answer, Answer::Takes) {
                say("status", "143");
                say("detail.stoptime", "1467000001");
                machine.power_off();
            }
        }
    }
}

/// Returns a running container, and the port layer that started it.
async fn running(
    guest: &Tools,
) -> (
    Endpoint,
    portlayer::vsphere::VsphereExec,
    portlayer::ContainerId,
) {
    let endpoint = Endpoint::with(Dialect::Vic1, Platform::default(), guest.clone()).await;
    let options = Options {
        guest_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    assert!(exec.capabilities().contains(Capability::Signals));
    let spec = ContainerSpec::new("signalled", Command::new("/any"));
    let id = exec.create(spec).await.unwrap();
    let state = exec.start(&id, StartOptions::new()).await.unwrap();
    assert_eq!(state, State::Running);
    (endpoint, exec, id)
}

#[tokio::test]
async fn a_signal_is_a_command_of_the_guests() {
    let guest = Tools::new(Answer::Takes);
    let (_endpoint, exec, id) = running(&guest).await;
    exec.signal(&id, Signal::HUP).await.unwrap();
    exec.signal(&id, Signal::KILL).await.unwrap();
    let exit = exec.stop(&id, StopOptions::new()).await.unwrap();
    assert_eq!(exit, ExitStatus::Signal(Some(Signal::TERM)));
    let order = |program: &str, signal: Signal| -> Order {
        [
            id.to_string(),
            String::new(),
            program.into(),
            signal.to_string(),
        ]
    };
    assert_eq!(
        guest.orders(),
        [
            order("kill", Signal::HUP),
            order("group-kill", Signal::KILL),
            order("kill", Signal::TERM),
        ]
    );
}

#[tokio::test]
async fn a_guest_that_refuses_signals_is_switched_off_by_kill_alone() {
    let guest = Tools::new(Answer::Refuses);
    let (_endpoint, exec, id) = running(&guest).await;
    let refused = exec.signal(&id, Signal::HUP).await.unwrap_err();
    let is_unsupported = matches!(
        refused.kind,
        ErrorKind::Unsupported {
            capability: Capability::Signals
        }
    );
    assert!(is_unsupported, "{refused:?}");
    assert_eq!(exec.inspect(&id).await.unwrap().state, State::Running);
    exec.signal(&id, Signal::KILL).await.unwrap();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::KILLED);
}

#[tokio::test]
async fn an_order_without_an_answer_does_not_cost_the_grace() {
    let guest = Tools::new(Answer::Nothing);
    let (_endpoint, exec, id) = running(&guest).await;
    let unknown = exec.signal(&id, Signal::HUP).await.unwrap_err();
    assert!(
        matches!(unknown.kind, ErrorKind::OutcomeUnknown { .. }),
        "{unknown:?}"
    );
    let grace = Duration::from_millis(500);
    let begun = Instant::now();
    let exit = exec.stop(&id, StopOptions::new().grace(grace)).await;
    assert_eq!(exit.unwrap(), ExitStatus::KILLED);
    assert!(begun.elapsed() >= grace, "{:?}", begun.elapsed());
}
