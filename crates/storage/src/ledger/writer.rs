//! Group commit: one thread writes; whatever waits while it fsyncs goes into the next transaction together.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use redb::WriteTransaction;

use super::LedgerError;
use super::database::{SharedDatabase, failed, failed_because};

/// The most operations in one transaction.
const MAX_GROUP: usize = 1024;

/// One operation and whoever waits for it.
trait Job: Send {
    fn apply(&mut self, transaction: &WriteTransaction) -> Result<(), LedgerError>;
    fn answer(self: Box<Self>, committed: Result<(), LedgerError>);
}

struct Pending<T, F> {
    operation: Option<F>,
    value: Option<T>,
    reply: SyncSender<Result<T, LedgerError>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&WriteTransaction) -> Result<T, LedgerError> + Send,
{
    fn apply(&mut self, transaction: &WriteTransaction) -> Result<(), LedgerError> {
        if let Some(operation) = self.operation.take() {
            self.value = Some(operation(transaction)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), LedgerError>) {
        let Self { value, reply, .. } = *self;
        // Fails only if whoever asked is gone; what was recorded stays recorded.
        let _ = reply.send(committed.and_then(|()| value.ok_or_else(stopped)));
    }
}

fn stopped() -> LedgerError {
    failed_because("written")("its writer has stopped")
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; none left and closed ends it.
    fn next_group(&self) -> Option<Vec<Box<dyn Job>>> {
        let waiting = self.lock();
        let mut waiting = self
            .changed
            .wait_while(waiting, |w| w.jobs.is_empty() && !w.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let count = waiting.jobs.len().min(MAX_GROUP);
        (count > 0).then(|| waiting.jobs.drain(..count).collect())
    }
}

/// The writing thread. Dropping it waits until everything that was asked is done.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(database: SharedDatabase) -> Result<Self, LedgerError> {
        let queue = Arc::new(Queue::default());
        let thread = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("ledger".to_owned())
                .spawn(move || run(&queue, &database))
                .map_err(failed("opened"))?
        };
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Runs an operation in the next transaction; returns when that is durable. The operation must look before it changes anything,
    /// so that what it refuses leaves no trace: an error is for the whole transaction, and everything in it.
    pub(super) fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&WriteTransaction) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Pending {
            operation: Some(operation),
            value: None,
            reply,
        };
        {
            let mut waiting = self.queue.lock();
            if waiting.closed {
                return Err(stopped());
            }
            waiting.jobs.push_back(Box::new(job));
        }
        self.queue.changed.notify_one();
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// How many operations wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().jobs.len()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Refuses what waits and what comes, when the thread ends: also by a panic.
struct Closing<'q>(&'q Queue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        // Whoever waits for one of these learns that it is gone.
        waiting.jobs.clear();
    }
}

fn run(queue: &Queue, database: &SharedDatabase) {
    let _closing = Closing(queue);
    while let Some(mut group) = queue.next_group() {
        let committed = commit_group(database, &mut group);
        if committed.is_err() {
            // Whether the failed transaction is on the disk is not known before the database is opened anew; until then nothing is
            // read from it either.
            database.close();
        }
        for job in group {
            job.answer(committed.clone());
        }
    }
}

fn commit_group(database: &SharedDatabase, group: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
    database.reopen_if_failed()?;
    database.with("written", |database| {
        let transaction = database.begin_write().map_err(failed("written"))?;
        for job in group.iter_mut() {
            job.apply(&transaction)?;
        }
        transaction.commit().map_err(failed("written"))
    })
}
