//! Small file systems of a test's own, which only root can mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system; unmounted when dropped.
pub(crate) struct Disk {
    folder: TempDir,
    /// What it is in, where that is not memory.
    image: Option<TempDir>,
}

impl Disk {
    /// In memory, of this size. `None`, said aloud, where this user may not mount one.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap(), image: None };
        let options = format!("size={size}");
        or_skip(run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", disk.at()]).then_some(disk))
    }

    /// One that takes no more writes after an error, as ext4 does by default on many machines.
    pub(crate) fn mount_ext4() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap(), image: Some(tempfile::tempdir().unwrap()) };
        File::create(disk.image()).unwrap().set_len(16 * 1024 * 1024).unwrap();
        let made = run("mkfs.ext4", &["-q", disk.image().to_str().unwrap()]);
        or_skip((made && disk.mount_image()).then_some(disk))
    }

    fn mount_image(&self) -> bool {
        let image = self.image();
        run("mount", &["-o", "loop,errors=remount-ro", image.to_str().unwrap(), self.at()])
    }

    fn image(&self) -> PathBuf {
        self.image.as_ref().expect("it is in a file").path().join("image")
    }

    fn at(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `QUEUE_URL` of a queue on it.
    pub(crate) fn queue(&self) -> String {
        format!("sqlite://{}", self.path("queue.db").display())
    }

    /// Fills it until nothing more fits.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path("ballast")
    }

    /// Makes it read-only for whoever has no file of it open for writing. Whether it went.
    pub(crate) fn make_read_only(&self) -> bool {
        run("mount", &["-o", "remount,ro", self.at()])
    }

    pub(crate) fn make_writable(&self) -> bool {
        run("mount", &["-o", "remount,rw", self.at()])
    }

    /// Lets the file system find an error, after which it takes no more writes, whoever has files open.
    pub(crate) fn break_down(&self) -> Option<()> {
        let device = Command::new("findmnt").args(["-n", "-o", "SOURCE", self.at()]).output().ok()?;
        let device = String::from_utf8(device.stdout).unwrap();
        let trigger = Path::new("/sys/fs/ext4").join(Path::new(device.trim()).file_name()?);
        or_skip(std::fs::write(trigger.join("trigger_fs_error"), "1").ok())
    }

    /// Checks it and mounts it anew. Whether nobody has its files open any more.
    pub(crate) fn repair(&self) -> bool {
        let image = self.image();
        run("umount", &[self.at()]) && {
            run("e2fsck", &["-p", "-f", image.to_str().unwrap()]);
            self.mount_image()
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A service that has just ended may have the file open for a moment.
        run("umount", &["-l", self.at()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|ended| ended.status.success())
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn or_skip<T>(made: Option<T>) -> Option<T> {
    if made.is_none() {
        eprintln!("SKIPPED: no file system of its own can be had here (it takes root)");
    }
    made
}
