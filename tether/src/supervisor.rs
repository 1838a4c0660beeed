//! The agent's end of the socket to a supervisor.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tether_sys::{
    Archive, ContainerSetup, Event, Exit, Launch, Request, Transport, receive_event, send_request,
};
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::sync::{oneshot, watch};

use crate::process::Process;

/// Sends requests to the supervisor of a container, the process that runs
/// [`run_container`](tether_sys::run_container). When this value is dropped, the
/// supervisor ends, and with it everything in the container.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    reader: tokio::task::AbortHandle,
}

/// The reason why a request to a supervisor failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The supervisor refused the request, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The request could not be sent.
    #[error("the request to the supervisor of a container could not be sent")]
    Send(#[source] io::Error),
    /// The supervisor ended before it responded.
    #[error("the supervisor of a container has ended")]
    Gone,
    /// The files in the response are unusable.
    #[error("the response of the supervisor of a container is unusable")]
    Answer(#[source] io::Error),
}

/// A container that a supervisor has created.
#[derive(Debug)]
#[non_exhaustive]
pub struct Created {
    /// One sentence for each feature that the system refused.
    pub notes: Vec<String>,
    /// The non-blocking file of each network card that was created, with its index in
    /// [`ContainerSetup::cards`]. A read returns an Ethernet frame that the container sends; a write
    /// delivers one to it. A card exists while its file is open.
    pub cards: Vec<(u32, OwnedFd)>,
}

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    waiting: Mutex<Waiting>,
    gone: watch::Sender<bool>,
}

/// The pending responses and process ends.
#[derive(Debug, Default)]
struct Waiting {
    last_id: u32,
    /// The callers that wait for a response, by the id of the request; 0 is the set-up.
    answers: HashMap<u32, oneshot::Sender<Answer>>,
    /// The callers that wait for the end of a process, by process id.
    exits: HashMap<i32, oneshot::Sender<Exit>>,
    gone: bool,
}

#[derive(Debug)]
enum Answer {
    Ready(Created),
    Launched(Box<Process>),
    Done(Vec<OwnedFd>),
    Failed(SupervisorError),
}

impl Supervisor {
    /// Takes one end of a [`pair`](tether_sys::pair) whose other end the supervisor
    /// has. Spawns a task on the current runtime.
    ///
    /// # Errors
    /// Fails when the socket cannot be registered with the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        tether_sys::set_nonblocking(&socket)?;
        let shared = Arc::new(Shared {
            // Used only with `try_io`, because the socket preserves message boundaries.
            socket: UnixStream::from_std(socket.into())?,
            waiting: Mutex::default(),
            gone: watch::Sender::new(false),
        });
        let reader = tokio::spawn(read(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, reader })
    }

    /// Creates the container; this must be the first request.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub async fn set_up(&self, setup: ContainerSetup) -> Result<Created, SupervisorError> {
        match self
            .ask(|_| Request::SetUp(Box::new(setup)), Some(0))
            .await?
        {
            Answer::Ready(created) => Ok(created),
            _ => Err(SupervisorError::Gone),
        }
    }

    /// Starts a process.
    ///
    /// # Errors
    /// Fails with the reason why the process was not started.
    pub async fn launch(&self, launch: Launch) -> Result<Process, SupervisorError> {
        let launch = Box::new(launch);
        match self.ask(|id| Request::Launch { id, launch }, None).await? {
            Answer::Launched(process) => Ok(*process),
            _ => Err(SupervisorError::Gone),
        }
    }

    /// Starts the transfer of an archive, as a process inside the container. A process whose streams
    /// are dropped ends.
    ///
    /// # Errors
    /// Fails when the system cannot start a process. A path that does not exist is reported by the
    /// process.
    pub async fn archive(&self, archive: Archive) -> Result<Process, SupervisorError> {
        let archive = Box::new(archive);
        match self
            .ask(|id| Request::Archive { id, archive }, None)
            .await?
        {
            Answer::Launched(process) => Ok(*process),
            _ => Err(SupervisorError::Gone),
        }
    }

    /// Sends a signal, by its Linux number, to a process, or to all processes except the
    /// supervisor if `pid` is 0.
    ///
    /// # Errors
    /// Fails when the process has ended.
    pub async fn signal(&self, pid: i32, signal: i32) -> Result<(), SupervisorError> {
        let order = |id| Request::Signal { id, pid, signal };
        self.ask(order, None).await.map(drop)
    }

    /// Replaces the content of one of the [files](ContainerSetup::files) of the container's setup.
    /// Paths that the container has changed do not matter: the file itself is written.
    ///
    /// # Errors
    /// Fails when the setup has no such file, or with the system's error.
    pub async fn write_file(&self, path: &str, content: Vec<u8>) -> Result<(), SupervisorError> {
        let path = path.to_owned();
        let order = |id| Request::WriteFile { id, path, content };
        self.ask(order, None).await.map(drop)
    }

    /// Starts a TCP connection to an address from inside the container.
    ///
    /// # Errors
    /// Fails when the system refuses it at once.
    pub async fn dial(&self, address: SocketAddr) -> Result<Dialing, SupervisorError> {
        let file = self.connect(Transport::Tcp, address).await?;
        let stream = TcpStream::from_std(std::net::TcpStream::from(file));
        let stream = stream.map_err(SupervisorError::Answer)?;
        Ok(Dialing { stream, address })
    }

    /// Opens a UDP socket inside the container that sends to an address and receives from it.
    /// If nothing listens there, sending or receiving may fail later.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub async fn dial_udp(&self, address: SocketAddr) -> Result<UdpSocket, SupervisorError> {
        let file = self.connect(Transport::Udp, address).await?;
        UdpSocket::from_std(std::net::UdpSocket::from(file)).map_err(SupervisorError::Answer)
    }

    async fn connect(
        &self,
        transport: Transport,
        address: SocketAddr,
    ) -> Result<OwnedFd, SupervisorError> {
        let order = |id| Request::Dial {
            id,
            transport,
            address,
        };
        let Answer::Done(mut files) = self.ask(order, None).await? else {
            return Err(SupervisorError::Gone);
        };
        files.pop().ok_or(SupervisorError::Gone)
    }

    /// Waits until the supervisor has ended. Cancel-safe.
    pub async fn gone(&self) {
        let mut gone = self.shared.gone.subscribe();
        // The sender lives as long as `self`.
        drop(gone.wait_for(|gone| *gone).await);
    }

    async fn ask(
        &self,
        order: impl FnOnce(u32) -> Request,
        id: Option<u32>,
    ) -> Result<Answer, SupervisorError> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = self.shared.waiting();
            if waiting.gone {
                return Err(SupervisorError::Gone);
            }
            waiting.last_id = waiting.last_id.checked_add(1).unwrap_or(1);
            let id = id.unwrap_or(waiting.last_id);
            waiting.answers.insert(id, sender);
            id
        };
        let request = order(id);
        let sent = async {
            loop {
                let socket = &self.shared.socket;
                socket.writable().await?;
                match socket.try_io(Interest::WRITABLE, || send_request(socket, &request)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    sent => return sent,
                }
            }
        };
        if let Err(error) = sent.await {
            self.shared.waiting().answers.remove(&id);
            return Err(SupervisorError::Send(error));
        }
        match answer.await {
            Ok(Answer::Failed(error)) => Err(error),
            Ok(answer) => Ok(answer),
            Err(_dropped) => Err(SupervisorError::Gone),
        }
    }
}

/// A connection that is being established. It does not keep the container alive.
#[derive(Debug)]
pub struct Dialing {
    stream: TcpStream,
    address: SocketAddr,
}

impl Dialing {
    /// Waits until the connection is established.
    ///
    /// # Errors
    /// Fails when nothing listens at the address.
    pub async fn connected(self) -> Result<TcpStream, SupervisorError> {
        let Self { stream, address } = self;
        let refused =
            |error: io::Error| SupervisorError::Refused(format!("connect to {address}: {error}"));
        stream.writable().await.map_err(refused)?;
        match stream.take_error().map_err(refused)? {
            Some(error) => Err(refused(error)),
            None => Ok(stream),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.reader.abort();
        // The aborted task keeps its handle of the socket until it is polled again.
        if let Err(error) = tether_sys::hang_up(&self.shared.socket) {
            tracing::trace!(%error, "the supervisor of a container had already ended");
        }
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers a report to the caller that waits for it. If it reports a new process, and the
    /// caller no longer waits, returns its process id, so that it can be killed.
    fn deliver(&self, event: Event, files: Vec<OwnedFd>) -> Option<i32> {
        let mut waiting = self.waiting();
        let (id, answer) = match event {
            Event::Ready { notes, cards } => {
                let cards = cards.into_iter().zip(files).collect();
                (0, Answer::Ready(Created { notes, cards }))
            }
            Event::Launched { id, pid } => {
                let (sender, exit) = oneshot::channel();
                match Process::from_files(pid, files, exit) {
                    Ok(process) => {
                        waiting.exits.insert(pid, sender);
                        (id, Answer::Launched(Box::new(process)))
                    }
                    Err(error) => (id, Answer::Failed(SupervisorError::Answer(error))),
                }
            }
            Event::Done { id } => (id, Answer::Done(files)),
            Event::Failed { id, reason } => (id, Answer::Failed(SupervisorError::Refused(reason))),
            Event::Exited { pid, exit } => {
                if let Some(sender) = waiting.exits.remove(&pid) {
                    // Fails if the `Process` was dropped.
                    let _ = sender.send(exit);
                }
                return None;
            }
            _ => return None,
        };
        let unwanted = match waiting.answers.remove(&id) {
            Some(sender) => sender.send(answer).err(),
            None => Some(answer),
        };
        match unwanted {
            Some(Answer::Launched(process)) => Some(process.pid),
            _ => None,
        }
    }
}

/// Reads reports until the supervisor has ended.
async fn read(shared: Arc<Shared>) {
    let end = loop {
        let socket = &shared.socket;
        if let Err(error) = socket.readable().await {
            break Some(error);
        }
        match socket.try_io(Interest::READABLE, || receive_event(socket)) {
            Ok(Some((event, files))) => {
                if let Some(pid) = shared.deliver(event, files) {
                    let (id, signal) = (u32::MAX, 9);
                    let kill = Request::Signal { id, pid, signal };
                    if let Err(error) = send_request(socket, &kill) {
                        tracing::warn!(%error, pid, "a process whose caller no longer waits was not killed");
                    }
                }
            }
            Ok(None) => break None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => break Some(error),
        }
    };
    if let Some(error) = end {
        tracing::debug!(%error, "the socket to the supervisor of a container failed");
    }
    {
        let mut waiting = shared.waiting();
        waiting.gone = true;
        waiting.answers.clear();
        waiting.exits.clear();
    }
    shared.gone.send_replace(true);
}
