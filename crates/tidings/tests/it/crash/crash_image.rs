//! What a power cut would leave behind, as far as a test can have it: the files of a live broker at one instant.
//!
//! The files are copied while another process publishes, and the copy is opened elsewhere. A copy takes time,
//! so it is a possible image of a crash only if the log has not been started anew meanwhile: the file then is
//! from before and the log from after a checkpoint. Such a copy is thrown away. A checkpoint that is merely
//! under way does no harm: what it writes to the file is still in the log, which is copied later.
//!
//! What this cannot show is whether the disk had what the system said it had.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use fastrand::Rng;
use tidings::{Deadline, Settlement, transport::Subscription};
use tidings_testkit::history::{Event, History};
use tokio::time::Instant;

use super::{
    crew::Crew,
    orders::Role,
    place::{LONG, Place, attachment},
};

/// How many images are taken at least.
const IMAGES: usize = 8;
/// How many messages that must be there they have at least, all together.
const LEAST_CHECKED: usize = 500;
/// The longest time between two images.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What a copy of the file and its log must have.
struct Image {
    generation: Vec<u8>,
    /// What was confirmed before the copy began and was in nobody's hands when it had ended.
    wanted: BTreeSet<String>,
}

#[tokio::test]
async fn an_image_of_the_live_file_has_everything_that_was_confirmed_before() {
    let place = Place::new("image");
    let publisher = Role::Publisher {
        filling: 8_000,
        most_waiting: 2_000,
        until_full: false,
    };
    // Whatever speed they have, what was confirmed a moment ago still waits.
    let consumer = Role::Consumer {
        refuses: 0.0,
        least_waiting: 1_000,
    };
    let members = [
        ("publisher-a", publisher.clone(), None),
        ("publisher-b", publisher, None),
        ("consumer", consumer, None),
    ];
    let mut crew = Crew::start(&place, 0, members);
    crew.all_work().await;
    let copy = place.file("image.db");
    let mut random = Rng::new();
    let (mut images, mut checked) = (0, 0);
    let mut generations = BTreeSet::new();
    let deadline = Instant::now() + 2 * LONG;
    // Until there were images from before and from after a checkpoint, which comes after 16 MB of changes.
    while images < IMAGES || checked < LEAST_CHECKED || generations.len() < 2 {
        assert!(
            Instant::now() < deadline,
            "{images} images with {checked} messages, {} generations of the log",
            generations.len()
        );
        crew.live(LONGEST_PAUSE.mul_f64(random.f64())).await;
        let image = take(&place, &copy);
        let stored = stored(&copy).await;
        let lost: Vec<_> = image.wanted.difference(&stored).take(10).collect();
        assert!(lost.is_empty(), "{} lacks {lost:?}", copy.display());
        images += 1;
        checked += image.wanted.len();
        generations.insert(image.generation);
    }
    println!(
        "{images} images with {checked} messages, {} generations of the log",
        generations.len()
    );
}

/// Copies the file and its log.
fn take(place: &Place, copy: &Path) -> Image {
    let file = place.broker();
    loop {
        let confirmed = confirmed(&place.history());
        let generation = generation_of(&log_of(&file));
        fs::copy(&file, copy).unwrap();
        fs::write(log_of(copy), settled(&log_of(&file))).unwrap();
        if generation_of(&log_of(&file)) == generation {
            let handled = handled(&place.history());
            let wanted = confirmed.difference(&handled).cloned().collect();
            return Image { generation, wanted };
        }
    }
}

/// The log up to where it is written right now. It is read forwards, as it is written: one reading may have what came later
/// and not what came before it, which no crash leaves behind. So it is read twice, as far as both agree.
fn settled(log: &Path) -> Vec<u8> {
    let (mut once, again) = (fs::read(log).unwrap(), fs::read(log).unwrap());
    once.truncate(agreement(&once, &again));
    once
}

/// How many bytes are the same at the beginning of both.
fn agreement(one: &[u8], other: &[u8]) -> usize {
    let mut length = 0;
    for (one, other) in one.chunks(4_096).zip(other.chunks(4_096)) {
        let same = match one == other {
            true => one.len(),
            false => one.iter().zip(other).take_while(|(a, b)| a == b).count(),
        };
        length += same;
        if same < one.len() {
            break;
        }
    }
    length
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The part of the log's header that changes when it is started anew: the number of the checkpoint and two salts.
fn generation_of(log: &Path) -> Vec<u8> {
    let mut header = Vec::new();
    let file = fs::File::open(log).unwrap();
    file.take(24).read_to_end(&mut header).unwrap();
    header
}

fn confirmed(history: &History) -> BTreeSet<String> {
    ids(history, |event| match event {
        Event::Confirmed { id } => Some(id),
        _ => None,
    })
}

fn handled(history: &History) -> BTreeSet<String> {
    ids(history, |event| match event {
        Event::Handled { id, .. } => Some(id),
        _ => None,
    })
}

fn ids(history: &History, of: impl Fn(&Event) -> Option<&String>) -> BTreeSet<String> {
    history.events().iter().filter_map(of).cloned().collect()
}

/// The messages in the queue of an image.
async fn stored(image: &Path) -> BTreeSet<String> {
    let transport = tidings::open(&format!("embedded:{}", image.display()))
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let queue = attachment().queue;
    let waiting = transport.queues(slice::from_ref(&queue)).await.unwrap()[0].ready;
    let mut subscriber = transport.subscribe(Subscription::to(queue)).await.unwrap();
    let mut stored = BTreeSet::new();
    for _ in 0..waiting {
        let delivery = subscriber.next().await.unwrap().unwrap();
        stored.insert(number(&delivery.call().envelope.payload.bytes));
        // Settled, so that the next ones come; nobody cares when.
        drop(delivery.settle(Settlement::Ack));
    }
    drop(subscriber);
    transport.close(Deadline::NEVER).await.unwrap();
    fs::remove_file(image).unwrap();
    stored
}

fn number(payload: &[u8]) -> String {
    let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
    message["data"]["attributes"]["number"]
        .as_str()
        .unwrap()
        .to_owned()
}
