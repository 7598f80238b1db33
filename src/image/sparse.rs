//! Large files with holes: copies of them, and new holes in them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, copy_file_range, fallocate};
use nix::unistd::{Whence, lseek};

/// How much is copied in one call, in bytes: so that a copy can be ended.
const PIECE: usize = 64 << 20;

/// Copies what is not a hole. Where the file system can share blocks, nothing is copied at all.
pub(super) fn copy_sparse(from: &File, to: &Utf8Path) -> io::Result<()> {
    let to = File::create(to)?;
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let mut at = 0i64;
    // Past the last data there is only a hole, and the seek says ENXIO.
    while let Ok(data) = lseek(from, at, Whence::SeekData) {
        let hole = lseek(from, data, Whence::SeekHole)?;
        let (mut source, mut target) = (data, data);
        while source < hole {
            let left = usize::try_from(hole - source).unwrap_or(PIECE).min(PIECE);
            let copied = copy_file_range(from, Some(&mut source), &to, Some(&mut target), left);
            match copied {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // Not every pair of file systems can do that by itself.
                Err(Errno::EXDEV | Errno::EINVAL | Errno::EOPNOTSUPP) => {
                    let n = copy_piece(from, &to, source.cast_unsigned(), left)?;
                    source += n;
                    target += n;
                }
                Err(error) => return Err(error.into()),
            }
        }
        at = hole;
    }
    Ok(())
}

/// Makes zeros of a part of a file: a hole, where the file system can make one.
pub(super) fn clear(file: &File, range: Range<u64>) -> io::Result<()> {
    let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    match fallocate(file, how, start, end - start) {
        Err(Errno::EOPNOTSUPP) => write_zeros(file, start, end),
        punched => Ok(punched?),
    }
}

/// Leaves holes as they are.
fn write_zeros(file: &File, start: i64, end: i64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = start;
    while let Some(data) = lseek(file, at, Whence::SeekData).ok().filter(|data| *data < end) {
        let hole = lseek(file, data, Whence::SeekHole)?.min(end);
        at = data;
        while at < hole {
            let piece = usize::try_from(hole - at).unwrap_or(zeros.len()).min(zeros.len());
            file.write_all_at(&zeros[..piece], at.cast_unsigned())?;
            at += i64::try_from(piece).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Copies a part of a piece, and says how much.
fn copy_piece(from: &File, to: &File, at: u64, left: usize) -> io::Result<i64> {
    let mut buffer = vec![0; left.min(1 << 20)];
    from.read_exact_at(&mut buffer, at)?;
    to.write_all_at(&buffer, at)?;
    i64::try_from(buffer.len()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_sparse_copy_is_equal_and_still_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (from, to) = (dir.join("a"), dir.join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"middle", 32 << 20).unwrap();
        copy_sparse(&File::open(&from).unwrap(), &to).unwrap();
        assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
        assert!(std::fs::metadata(&to).unwrap().blocks() * 512 < 4 << 20);

        let (from, to) = (File::open(&from).unwrap(), File::create(dir.join("c")).unwrap());
        assert_eq!(copy_piece(&from, &to, 32 << 20, 6).unwrap(), 6);
    }

    #[test]
    fn what_is_cleared_is_zeros_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(dir.path().join("a"));
        let file = file.unwrap();
        let read = |at: u64| {
            let mut bytes = [0; 3];
            file.read_exact_at(&mut bytes, at).unwrap();
            bytes
        };
        file.set_len(16 << 20).unwrap();
        let ways: [fn(&File) -> io::Result<()>; 2] =
            [|file| clear(file, 4096..8192), |file| write_zeros(file, 4096, 8192)];
        for way in ways {
            file.write_all_at(&[1; 3 * 4096], 0).unwrap();
            way(&file).unwrap();
            assert_eq!((read(4095), read(8190)), ([1, 0, 0], [0, 0, 1]));
            assert_eq!(file.metadata().unwrap().len(), 16 << 20);
        }
    }
}
