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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    /// A window of four with a future for each channel.
    fn window(count: usize) -> (Window<u32>, Vec<oneshot::Sender<u32>>) {
        let mut window = Window::new(4);
        let answers = (0..count).map(|_| add(&mut window)).collect();
        (window, answers)
    }

    fn add(window: &mut Window<u32>) -> oneshot::Sender<u32> {
        let (answer, answered) = oneshot::channel();
        window.start(async move { answered.await.unwrap_or_default() });
        answer
    }

    /// Whatever is ready, once something is.
    async fn collect(window: &mut Window<u32>) -> Vec<(usize, u32)> {
        poll_fn(|context| {
            let mut done = Vec::new();
            window.collect(context, &mut done);
            match done.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(done),
            }
        })
        .await
    }

    #[tokio::test]
    async fn what_is_ready_is_collected_in_one_go_and_its_place_used_again() {
        let (mut window, answers) = window(4);
        assert!(!window.has_room());
        for (number, answer) in (0..).zip(answers) {
            answer.send(number).unwrap();
        }
        let done = collect(&mut window).await;
        assert_eq!(done, [(0, 0), (1, 1), (2, 2), (3, 3)]);
        assert!(window.is_empty() && window.has_room());
        let answer = add(&mut window);
        answer.send(7).unwrap();
        assert_eq!(collect(&mut window).await, [(3, 7)]);
        assert_eq!(window.places.len(), 4);
    }

    #[tokio::test]
    async fn a_future_that_is_ready_at_once_is_collected_too() {
        let (mut window, _answers) = window(1);
        window.start(async { 9 });
        assert_eq!(collect(&mut window).await, [(1, 9)]);
        assert_eq!(window.len(), 1);
    }

    #[tokio::test]
    async fn the_task_is_woken_from_another_thread() {
        let (mut window, mut answers) = window(2);
        let answer = answers.remove(1);
        let thread = std::thread::spawn(move || answer.send(5));
        assert_eq!(collect(&mut window).await, [(1, 5)]);
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_late_wake_does_not_disturb_the_next_future_in_its_place() {
        let (mut window, answers) = window(1);
        let waker = window.places[0].waker.clone();
        for answer in answers {
            answer.send(1).unwrap();
        }
        assert_eq!(collect(&mut window).await, [(0, 1)]);
        waker.wake_by_ref();
        let answer = add(&mut window);
        let mut done = Vec::new();
        window.collect(&Context::from_waker(Waker::noop()), &mut done);
        assert!(done.is_empty());
        answer.send(2).unwrap();
        assert_eq!(collect(&mut window).await, [(0, 2)]);
    }
}
