//! What a power cut would leave behind, as far as a test can have it: the files of a live broker at one instant.
//!
//! The files are copied while another process publishes, and the copy is opened elsewhere. A copy takes time,
//! so it is a possible image of a crash only if the log has not been started anew meanwhile: the file then is
//! from before and the log from after a checkpoint. Such a copy is thrown away. A checkpoint that is merely
//! under way does no harm: what it writes to the file is still in the log, which is copied later.
//!
//! What this cannot show is whether the disk had what the system said it had.

use std::{collections::BTreeSet, fs, io::Read, path::Path, path::PathBuf, slice, time::Duration};

use fastrand::Rng;
use tidings::{Deadline, transport::Subscription};
use tidings_core::ErrorKind;
use tidings_testkit::{
    history::{Event, History},
    process::Process,
};

use super::{
    child,
    orders::{Orders, Role},
    place::{LONG, Place, attachment},
};

/// How many images are taken.
const IMAGES: u32 = 8;
/// The longest time between two images.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_image_of_the_live_file_has_everything_that_was_confirmed_before() {
    let place = Place::new("image");
    let history = place.file("publisher.history");
    let mut publisher = child::start(&Orders {
        name: "publisher".to_owned(),
        url: place.url(),
        history: history.clone(),
        seed: 0,
        breach: None,
        role: Role::Publisher {
            filling: 8_000,
            most_waiting: u64::MAX,
            until_full: false,
        },
    });
    publisher.line_starting("working", LONG).await.unwrap();
    let mut random = Rng::new();
    let mut images = Vec::new();
    for number in 0..IMAGES {
        live(&mut publisher, LONGEST_PAUSE.mul_f64(random.f64())).await;
        let image = place.file(&format!("image-{number}.db"));
        images.push((take(&place.broker(), &history, &image), image));
    }
    publisher.kill_9().await.unwrap();
    let mut most = 0;
    for (confirmed, image) in images {
        println!(
            "{} db {} wal {} confirmed {}",
            image.display(),
            fs::metadata(&image).unwrap().len(),
            fs::metadata(log_of(&image)).unwrap().len(),
            confirmed.len()
        );
        let stored = stored(&image).await;
        let lost: Vec<_> = confirmed.difference(&stored).take(10).collect();
        assert!(lost.is_empty(), "{} lacks {lost:?}", image.display());
        most = most.max(confirmed.len());
    }
    assert!(most > 500, "only {most} messages were confirmed");
}

/// Lets the publisher go on for so long.
async fn live(publisher: &mut Process, moment: Duration) {
    let ended = publisher.wait(moment).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
}

/// Copies the file and its log, and returns what was confirmed before the copy began.
fn take(file: &Path, history: &Path, image: &Path) -> BTreeSet<String> {
    loop {
        let confirmed = confirmed(history);
        let before = generation(&log_of(file));
        fs::copy(file, image).unwrap();
        fs::copy(log_of(file), log_of(image)).unwrap();
        if generation(&log_of(file)) == before {
            return confirmed;
        }
    }
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The part of the log's header that changes when it is started anew: the number of the checkpoint and two salts.
fn generation(log: &Path) -> Vec<u8> {
    let mut header = Vec::new();
    let file = fs::File::open(log).unwrap();
    file.take(24).read_to_end(&mut header).unwrap();
    header
}

fn confirmed(history: &Path) -> BTreeSet<String> {
    let history = History::load([history]).unwrap();
    let confirmed = history.events().iter().filter_map(|event| match event {
        Event::Confirmed { id } => Some(id.clone()),
        _ => None,
    });
    confirmed.collect()
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
        drop(delivery.settle(tidings::Settlement::Ack));
    }
    drop(subscriber);
    transport.close(Deadline::NEVER).await.unwrap();
    stored
}

fn number(payload: &[u8]) -> String {
    let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
    message["data"]["attributes"]["number"]
        .as_str()
        .unwrap()
        .to_owned()
}
