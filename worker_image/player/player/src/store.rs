//! The share file on the player's volume: survives restarts, and is replaced as a whole or not at
//! all.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::{Shares, SharesError};

pub struct Store {
    folder: PathBuf,
    role: Role,
}

/// Why there are no shares to load, or new ones were refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the volume {folder} cannot be used: {why}; \
         it needs to be writable and have room for two share files"
    )]
    Volume { folder: String, why: io::Error },
    #[error(transparent)]
    Shares(#[from] SharesError),
    #[error(
        "this share file is {found}'s and this player is {expected}; each player gets its own"
    )]
    Role { found: Role, expected: Role },
}

impl Store {
    pub fn new(folder: PathBuf, role: Role) -> Store {
        Store { folder, role }
    }

    /// The shares kept from an earlier run, if any. Also creates the folder and removes an
    /// incomplete delivery.
    pub fn load(&self) -> Result<Option<Shares>, StoreError> {
        fs::create_dir_all(&self.folder).map_err(|e| self.volume(e))?;
        self.discard();
        match fs::read(self.path()) {
            Ok(bytes) => self.check(&bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.volume(e)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("shares.safetensors")
    }

    /// Where a delivery is written to before it is checked.
    pub fn aside(&self) -> PathBuf {
        self.folder.join("shares.safetensors.new")
    }

    /// Checks the file written aside, then syncs it and renames it into place. A refused one is
    /// removed, and the file before it stays.
    pub fn adopt(&self) -> Result<Shares, StoreError> {
        let adopted = self.try_adopt();
        if adopted.is_err() {
            self.discard();
        }
        adopted
    }

    fn try_adopt(&self) -> Result<Shares, StoreError> {
        let bytes = fs::read(self.aside()).map_err(|e| self.volume(e))?;
        let shares = self.check(&bytes)?;
        let keep = || -> io::Result<()> {
            File::open(self.aside())?.sync_all()?;
            fs::rename(self.aside(), self.path())?;
            File::open(&self.folder)?.sync_all()
        };
        keep().map_err(|e| self.volume(e))?;
        Ok(shares)
    }

    /// Removes what was written aside, if anything.
    pub fn discard(&self) {
        let _ = fs::remove_file(self.aside()); // it may not be there
    }

    fn check(&self, bytes: &[u8]) -> Result<Shares, StoreError> {
        let shares = Shares::parse(bytes)?;
        if shares.role != self.role {
            return Err(StoreError::Role { found: shares.role, expected: self.role });
        }
        Ok(shares)
    }

    pub fn volume(&self, why: io::Error) -> StoreError {
        StoreError::Volume { folder: self.folder.display().to_string(), why }
    }
}
