//! The header of a record. (`access/xlogrecord.h`)

use super::event::ResourceManager;
use super::lsn::Lsn;
use crate::fields::Fields;

/// Bytes of a record's header.
pub(crate) const HEADER: usize = 24;
/// The checksum is the last field of the header and does not cover itself.
pub(crate) const CHECKED: usize = 20;
/// Longer than this no server can read one: the limit of an allocation.
pub(crate) const LONGEST: u32 = 0x3FFF_FFFF;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) length: u32,
    pub(crate) xid: u32,
    pub(crate) prev: Lsn,
    pub(crate) info: u8,
    pub(crate) manager: ResourceManager,
    pub(crate) checksum: u32,
}

impl RecordHeader {
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<RecordHeader> {
        let mut fields = Fields::of(bytes);
        let (length, xid, prev) = (fields.u32()?, fields.u32()?, Lsn(fields.u64()?));
        let (info, manager) = (fields.u8()?, ResourceManager(fields.u8()?));
        fields.u16()?;
        Some(RecordHeader {
            length,
            xid,
            prev,
            info,
            manager,
            checksum: fields.u32()?,
        })
    }

    /// Its content is looked into.
    pub(crate) fn concerns_us(&self) -> bool {
        let by = self.manager;
        by == ResourceManager::TRANSACTION
            || by == ResourceManager::LOGICAL_MESSAGE
            || (by == ResourceManager::XLOG
                && matches!(
                    self.kind(),
                    CHECKPOINT_SHUTDOWN
                        | CHECKPOINT_ONLINE
                        | SWITCH
                        | RESTORE_POINT
                        | END_OF_RECOVERY
                        | OVERWRITE
                ))
    }

    /// The rest of the segment after it is empty.
    pub(crate) fn is_switch(&self) -> bool {
        self.manager == ResourceManager::XLOG && self.kind() == SWITCH
    }

    /// The kind, as the XLOG resource manager has it: the low half belongs to whoever inserted the record.
    pub(crate) fn kind(&self) -> u8 {
        self.info & 0xF0
    }
}

/// Kinds of records of the XLOG resource manager. (`catalog/pg_control.h`)
pub(crate) const CHECKPOINT_SHUTDOWN: u8 = 0x00;
pub(crate) const CHECKPOINT_ONLINE: u8 = 0x10;
pub(crate) const SWITCH: u8 = 0x40;
pub(crate) const RESTORE_POINT: u8 = 0x70;
pub(crate) const END_OF_RECOVERY: u8 = 0x90;
pub(crate) const OVERWRITE: u8 = 0xD0;
