//! The client for scripts: the same calls from plain functions.
//!
//! A thread of its own runs what needs a runtime, so it works in a plain `fn main` and does not panic inside of a
//! runtime either, where it blocks the thread that it is called on.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tidings_core::{
    Deadline, Error, ErrorKind, Payload, contract::Request, error::Result, tasks::Tasks,
};
use tidings_rpc::Keys;
use tokio::runtime::{Builder, Handle, Runtime};

/// Calls what the consumer of a queue serves, and waits. See [`super::Client`], whose twin it is.
///
/// ```no_run
/// use tidings::rpc::blocking::Client;
///
/// fn main() -> tidings::Result<()> {
///     let client = Client::connect("amqp://guest:guest@localhost:5672", "web1")?;
///     let answer = client.call_raw("create_site", r#"{"domain": "example.com"}"#)?;
///     println!("{}", String::from_utf8_lossy(&answer.bytes));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    client: super::Client,
    thread: Arc<Thread>,
}

impl Client {
    /// Connects to the broker that a URL names, to call what the consumer of this queue serves.
    ///
    /// # Errors
    /// As [`super::Client::connect`], and [`Unavailable`](ErrorKind::Unavailable) if the system gives no thread.
    pub fn connect(url: &str, queue: &str) -> Result<Self> {
        let thread = Arc::new(Thread::start()?);
        let (url, queue) = (url.to_owned(), queue.to_owned());
        let client = thread.run(async move { super::Client::connect(&url, &queue).await })?;
        Ok(Self { client, thread })
    }

    /// Calls over the connection of another client.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the system gives no thread.
    pub fn over(client: super::Client) -> Result<Self> {
        let thread = Arc::new(Thread::start()?);
        Ok(Self { client, thread })
    }

    /// As [`super::Client::for_queue`].
    ///
    /// # Errors
    /// [`Misuse`](ErrorKind::Misuse) for an impossible name.
    pub fn for_queue(&self, queue: &str) -> Result<Self> {
        Ok(self.with(self.client.for_queue(queue)?))
    }

    /// As [`super::Client::with_keys`].
    #[must_use]
    pub fn with_keys(&self, keys: Keys) -> Self {
        self.with(self.client.with_keys(keys))
    }

    /// As [`super::Client::with_timeout`].
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.with(self.client.with_timeout(timeout))
    }

    /// As [`super::Client::unroutable_is_fine`].
    #[must_use]
    pub fn unroutable_is_fine(&self) -> Self {
        self.with(self.client.unroutable_is_fine())
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// As [`super::Client::call`].
    pub fn call<R: Request>(&self, request: &R) -> Result<R::Reply> {
        self.thread.run(self.client.call(request))
    }

    /// Sends a body that is JSON already, and waits for the answer, which is handed out as it is.
    ///
    /// # Errors
    /// As [`super::Client::call_raw`].
    pub fn call_raw(&self, exchange: &str, body: impl Into<Vec<u8>>) -> Result<Payload> {
        self.thread.run(self.client.call_raw(exchange, body))
    }

    /// Ends the connection, also for clones, within this time.
    ///
    /// # Errors
    /// As [`super::Client::close`].
    pub fn close(&self, within: Duration) -> Result<()> {
        let client = self.client.clone();
        self.thread
            .run(async move { client.close(Deadline::after(within)).await })
    }

    fn with(&self, client: super::Client) -> Self {
        Self {
            client,
            thread: Arc::clone(&self.thread),
        }
    }
}

/// The thread that runs the calls of a client and its clones. It ends with the last of them.
struct Thread {
    runtime: Handle,
    tasks: Tasks,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    fn start() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| no_thread().with_source(error))?;
        let (handle, tasks) = (runtime.handle().clone(), Tasks::new());
        let stop = tasks.clone();
        let thread = thread::Builder::new()
            .name("tidings-rpc".to_owned())
            .spawn(move || drive(&runtime, &stop))
            .map_err(|error| no_thread().with_source(error))?;
        Ok(Self {
            runtime: handle,
            tasks,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs a future there and waits for it here, without the help of whatever runtime this thread may have.
    fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = mpsc::sync_channel(1);
        self.tasks
            .spawn_on(&self.runtime, "blocking call", async move {
                // Nobody listens any more if the thread that waited has died.
                drop(tell.send(future.await));
            });
        told.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn drive(runtime: &Runtime, stop: &Tasks) {
    runtime.block_on(stop.stopping());
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.tasks.request_stop();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the thread of a blocking client has panicked");
        }
    }
}

fn no_thread() -> Error {
    let context = "cannot start a thread for calls: see the limits of this process";
    Error::new(ErrorKind::Unavailable, context)
}

fn gone() -> Error {
    let context = "the thread that runs the calls has ended: connect another client";
    Error::new(ErrorKind::Closed, context)
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}
