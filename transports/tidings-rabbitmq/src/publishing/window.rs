//! The publishes on their way: up to a fixed number of futures, polled together, each woken on its own.
//!
//! `FuturesUnordered` would do, but for one thing. lapin hands a returned message to whichever confirm comes next, which
//! need not be the confirm of that message. So a confirm may only be believed once every confirm that was there before it
//! has been looked at, and only whoever owns the list of the woken can tell. Owning it also saves an allocation per
//! publish: a place keeps the memory of its future, and its waker.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use tokio_util::sync::ReusableBoxFuture;

/// Futures in numbered places.
pub(super) struct Window<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
    size: usize,
    wakes: Arc<Wakes>,
    /// Those that are polled at the moment; kept for its memory.
    batch: Vec<usize>,
    /// Those that were ready at the first poll.
    early: Vec<(usize, T)>,
}

struct Place<T> {
    future: ReusableBoxFuture<'static, T>,
    is_busy: bool,
    waker: Waker,
}

impl<T> Window<T> {
    /// Room for `size` futures.
    pub(super) fn new(size: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            size,
            wakes: Arc::default(),
            batch: Vec::new(),
            early: Vec::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether another one may be started.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.size
    }

    /// Polls a future for the first time and keeps it in the place that is returned.
    pub(super) fn start(&mut self, future: impl Future<Output = T> + Send + 'static) -> usize {
        let index = match self.free.pop() {
            Some(index) => {
                self.places[index].future.set(future);
                index
            }
            None => self.add(ReusableBoxFuture::new(future)),
        };
        let place = &mut self.places[index];
        place.is_busy = true;
        if let Poll::Ready(output) = place.poll() {
            self.early.push((index, output));
        }
        index
    }

    fn add(&mut self, future: ReusableBoxFuture<'static, T>) -> usize {
        let index = self.places.len();
        let waker = Arc::new(PlaceWaker {
            index,
            wakes: Arc::clone(&self.wakes),
        });
        self.places.push(Place {
            future,
            is_busy: true,
            waker: waker.into(),
        });
        index
    }

    /// Moves everything that is ready into `done`: whatever was ready before something in `done` was, is in `done` too.
    /// The places are free from then on. The task is woken when there is more.
    pub(super) fn collect(&mut self, context: &Context<'_>, done: &mut Vec<(usize, T)>) {
        for (index, output) in self.early.drain(..) {
            self.places[index].is_busy = false;
            self.free.push(index);
            done.push((index, output));
        }
        while self.wakes.take(&mut self.batch, context.waker()) {
            for index in self.batch.drain(..) {
                let place = &mut self.places[index];
                // A wake may come late, for the future that was here before.
                if !place.is_busy {
                    continue;
                }
                if let Poll::Ready(output) = place.poll() {
                    place.is_busy = false;
                    self.free.push(index);
                    done.push((index, output));
                }
            }
        }
    }
}

impl<T> Place<T> {
    fn poll(&mut self) -> Poll<T> {
        self.future.poll(&mut Context::from_waker(&self.waker))
    }
}

/// Which places were woken, and the task that wants to know.
#[derive(Default)]
struct Wakes(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    places: Vec<usize>,
    task: Option<Waker>,
}

impl Wakes {
    /// Swaps the woken places into `batch`. If there are none it remembers whom to wake, and returns false.
    fn take(&self, batch: &mut Vec<usize>, task: &Waker) -> bool {
        let mut woken = self.lock();
        if woken.places.is_empty() {
            match &mut woken.task {
                Some(known) => known.clone_from(task),
                none => *none = Some(task.clone()),
            }
            return false;
        }
        mem::swap(&mut woken.places, batch);
        true
    }

    fn wake(&self, index: usize) {
        let mut woken = self.lock();
        woken.places.push(index);
        let task = woken.task.take();
        drop(woken);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PlaceWaker {
    index: usize,
    wakes: Arc<Wakes>,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wakes.wake(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.wake(self.index);
    }
}
