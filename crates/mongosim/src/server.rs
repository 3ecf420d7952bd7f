//! The server: its listeners, its connections, and what they share.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bson::Document;

use crate::commands::{self, sasl};
use crate::cursor::Cursor;
use crate::session::Session;
use crate::state::State;
use crate::{Settings, wire};

/// What all connections share.
pub(crate) struct Server {
    shared: Mutex<Shared>,
    grown: Condvar,
    connections: Mutex<HashMap<u64, Socket>>,
    next: AtomicU64,
    ending: AtomicBool,
    /// Whether it was told to shut down.
    told_to_end: AtomicBool,
    /// How the member is called in the set.
    pub(crate) me: String,
    pub(crate) set: String,
    /// Whether nobody may do anything without logging in.
    pub(crate) auth: bool,
}

/// What changes.
pub(crate) struct Shared {
    pub(crate) state: State,
    pub(crate) cursors: HashMap<i64, Cursor>,
    pub(crate) sessions: HashMap<Vec<u8>, Session>,
    pub(crate) refusals: Vec<Refusal>,
    /// Until when nothing is answered.
    pub(crate) frozen: Option<Instant>,
    /// Until when it is a secondary.
    pub(crate) stepped_down: Option<Instant>,
}

/// A command that is to fail.
pub(crate) struct Refusal {
    pub(crate) command: String,
    pub(crate) code: i32,
    pub(crate) left: i64,
}

/// One client.
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) user: Option<sasl::User>,
    pub(crate) conversation: Option<sasl::Conversation>,
}

impl Server {
    pub(crate) fn new(settings: &Settings, me: String, state: State) -> Self {
        Self {
            shared: Mutex::new(Shared {
                state,
                cursors: HashMap::new(),
                sessions: HashMap::new(),
                refusals: Vec::new(),
                frozen: None,
                stepped_down: None,
            }),
            grown: Condvar::new(),
            connections: Mutex::new(HashMap::new()),
            next: AtomicU64::new(1),
            ending: AtomicBool::new(false),
            told_to_end: AtomicBool::new(false),
            me,
            set: settings.set.clone(),
            auth: settings.auth || !settings.users.is_empty(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for entries of the oplog that something has changed.
    pub(crate) fn wake(&self) {
        self.grown.notify_all();
    }

    /// Waits until something has changed, but no longer than `time`.
    pub(crate) fn wait<'a>(
        &self,
        guard: MutexGuard<'a, Shared>,
        time: Duration,
    ) -> MutexGuard<'a, Shared> {
        let waited = self.grown.wait_timeout(guard, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells whoever waits for it that it is to end.
    pub(crate) fn shut_down(&self) {
        self.told_to_end.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Waits until it was told to end.
    pub(crate) fn wait_for_end(&self) {
        let mut shared = self.lock();
        while !self.told_to_end.load(Ordering::SeqCst) {
            shared = self.wait(shared, Duration::from_millis(500));
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Closes every connection but one.
    pub(crate) fn drop_connections(&self, but: Option<u64>) {
        let connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (number, socket) in connections.iter() {
            if Some(*number) != but {
                socket.shut();
            }
        }
    }

    fn serve(&self, socket: Socket) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let Ok(copy) = socket.copy() else {
            return;
        };
        let lock = || {
            self.connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        lock().insert(number, copy);
        if !self.is_ending() {
            // A client that goes away is no fault of ours.
            let _ = self.answer(number, socket);
        }
        if let Some(socket) = lock().remove(&number) {
            socket.shut();
        }
    }

    fn answer(&self, number: u64, socket: Socket) -> io::Result<()> {
        let mut writer = socket.copy()?;
        let mut reader = BufReader::with_capacity(64 * 1024, socket);
        let mut connection = Connection {
            number,
            user: None,
            conversation: None,
        };
        while let Some(request) = wire::read(&mut reader)? {
            let Ok(request) = request else {
                return Ok(());
            };
            let reply: Document = commands::run(self, &mut connection, &request);
            if !request.silent {
                wire::write(&mut writer, &request, &reply)?;
            }
        }
        Ok(())
    }
}

/// The threads that take connections; ended when the value is dropped.
pub(crate) struct Listeners {
    server: Arc<Server>,
    doors: Vec<Door>,
    threads: Vec<JoinHandle<()>>,
}

/// A place at which clients come in.
enum Door {
    Tcp(TcpStreamAddress),
    Unix(PathBuf),
}

type TcpStreamAddress = std::net::SocketAddr;

impl Listeners {
    /// Binds, makes the server by the port it got, and begins to answer.
    pub(crate) fn start(settings: &Settings, state: State) -> io::Result<(Self, u16)> {
        let address: IpAddr = settings.bind;
        let tcp = match settings.tcp {
            true => Some(TcpListener::bind((address, settings.port))?),
            false => None,
        };
        let port = match &tcp {
            Some(listener) => listener.local_addr()?.port(),
            None => settings.port,
        };
        let server = Arc::new(Server::new(settings, format!("{address}:{port}"), state));
        let mut listeners = Self {
            server,
            doors: Vec::new(),
            threads: Vec::new(),
        };
        if let Some(listener) = tcp {
            listeners.doors.push(Door::Tcp(listener.local_addr()?));
            listeners.listen(move || {
                let socket = listener.accept()?.0;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            });
        }
        let by_port = settings
            .socket_dir
            .as_ref()
            .map(|dir| dir.join(format!("mongodb-{port}.sock")));
        for path in settings.socket.iter().chain(&by_port) {
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path)?;
            listeners.doors.push(Door::Unix(path.clone()));
            listeners.listen(move || Ok(Socket::Unix(listener.accept()?.0)));
        }
        Ok((listeners, port))
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    fn listen(&mut self, accept: impl Fn() -> io::Result<Socket> + Send + 'static) {
        let server = self.server.clone();
        self.threads.push(std::thread::spawn(move || {
            loop {
                let accepted = accept();
                if server.is_ending() {
                    return;
                }
                let Ok(socket) = accepted else {
                    // Out of descriptors, perhaps: others may end.
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let server = server.clone();
                std::thread::spawn(move || server.serve(socket));
            }
        }));
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.server.ending.store(true, Ordering::SeqCst);
        self.server.drop_connections(None);
        self.server.wake();
        for door in &self.doors {
            // An accept ends when somebody comes.
            match door {
                Door::Tcp(address) => {
                    drop(TcpStream::connect_timeout(address, Duration::from_secs(1)))
                }
                Door::Unix(path) => drop(UnixStream::connect(path)),
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        for door in &self.doors {
            if let Door::Unix(path) = door {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// A connection's bytes.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn copy(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }

    fn shut(&self) {
        // It may have been shut by the other side.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.flush(),
            Self::Unix(socket) => socket.flush(),
        }
    }
}
