//! The bytes of a block on their way from the disk into a connection.
//!
//! A piece is read when the connection asks for it, and the next one not before the connection is
//! done with it: a put that waits for its answer holds none of its block, and one that is being
//! sent holds one [`PIECE`]. The buffers are used again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::plan::{Content, Put};
use crate::image::blocks::BLOCK;

/// How much is read at once, in bytes: little enough to stay in a processor's cache until it is
/// sent, and much enough that calls of the kernel cost nothing beside it.
const PIECE: usize = 64 << 10;

/// A piece of zeros.
static NOTHING: [u8; PIECE] = [0; PIECE];

/// The disk that blocks are read from, and the buffers for them.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    bytes: u64,
    free: Mutex<Vec<Box<[u8]>>>,
}

/// How the sending of one block goes, seen from the disk.
#[derive(Debug, Default)]
struct Course {
    /// Whether a piece is in the connection.
    out: bool,
    /// Who waits for it to come back.
    waiting: Option<Waker>,
    /// Why the disk could not be read.
    error: Option<io::Error>,
}

/// What is left of a body when the client has it: whether the disk was at fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Arc<Mutex<Course>>);

impl Trace {
    /// Why the disk could not be read, if that is why the put failed.
    pub(super) fn disk_error(&self) -> Option<io::Error> {
        self.lock().error.take()
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl Disk {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, free: Mutex::new(Vec::new()) })
    }

    /// The body of a put, and what can be learned of it when that has failed.
    pub(super) fn body(self: &Arc<Self>, put: Put) -> (SdkBody, Trace) {
        let trace = Trace::default();
        let at = u64::from(put.index) * BLOCK as u64;
        let disk = (put.content == Content::Disk).then(|| Arc::clone(self));
        let body = Block { disk, at, left: BLOCK, trace: trace.clone() };
        (SdkBody::from_body_1_x(body), trace)
    }

    /// A whole block, as it is now. Past the end of the disk are zeros.
    pub(super) fn block(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut block = vec![0; BLOCK];
        self.read(&mut block, u64::from(index) * BLOCK as u64)?;
        Ok(block)
    }

    fn read(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        let left = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let (there, beyond) = piece.split_at_mut(left.min(piece.len()));
        beyond.fill(0);
        self.file.read_exact_at(there, at)
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.free.lock().expect("nobody panics with it")
    }
}

/// The body of a put.
struct Block {
    /// None for a block of zeros.
    disk: Option<Arc<Disk>>,
    at: u64,
    left: usize,
    trace: Trace,
}

/// A piece in a connection. The connection lets go of it once it is sent.
struct Piece {
    disk: Arc<Disk>,
    trace: Trace,
    buffer: Box<[u8]>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.disk.buffers().push(std::mem::take(&mut self.buffer));
        let mut course = self.trace.lock();
        course.out = false;
        let waiting = course.waiting.take();
        drop(course);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl Body for Block {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &self.disk {
            None => Bytes::from_static(&NOTHING),
            Some(disk) => {
                let mut course = self.trace.lock();
                if course.out {
                    course.waiting = Some(context.waker().clone());
                    return Poll::Pending;
                }
                course.out = true;
                drop(course);
                let free = disk.buffers().pop();
                let mut buffer = free.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice());
                if let Err(error) = disk.read(&mut buffer, self.at) {
                    let text = error.to_string();
                    self.trace.lock().error = Some(error);
                    return Poll::Ready(Some(Err(io::Error::other(text))));
                }
                let (disk, trace) = (Arc::clone(disk), self.trace.clone());
                Bytes::from_owner(Piece { disk, trace, buffer })
            }
        };
        self.at += PIECE as u64;
        self.left -= PIECE;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
