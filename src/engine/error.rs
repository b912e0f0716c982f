//! What the engine answers when it cannot do what it was asked: an SQLSTATE, a message, perhaps a hint.

use std::borrow::Cow;

/// An SQLSTATE (PostgreSQL 15 documentation, appendix A). Only those that the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlState {
    /// 0A000
    FeatureNotSupported,
    /// 08P01
    ProtocolViolation,
    /// 22000
    DataException,
    /// 22021
    CharacterNotInRepertoire,
    /// 22P03
    InvalidBinaryRepresentation,
    /// 23502
    NotNullViolation,
    /// 42P05
    DuplicatePreparedStatement,
    /// 55P02
    CantChangeRuntimeParam,
    /// 3B001
    InvalidSavepoint,
    /// 3F000
    InvalidSchemaName,
    /// 22003
    NumericValueOutOfRange,
    /// 22012
    DivisionByZero,
    /// 22007
    InvalidDatetimeFormat,
    /// 22008
    DatetimeFieldOverflow,
    /// 22P02
    InvalidTextRepresentation,
    /// 22P04
    BadCopyFileFormat,
    /// 22023
    InvalidParameterValue,
    /// 25P03
    IdleInTransactionSessionTimeout,
    /// 25006
    ReadOnlySqlTransaction,
    /// 25P02
    InFailedSqlTransaction,
    /// 25001
    ActiveSqlTransaction,
    /// 25P01
    NoActiveSqlTransaction,
    /// 26000
    InvalidSqlStatementName,
    /// 2BP01
    DependentObjectsStillExist,
    /// 34000
    InvalidCursorName,
    /// 21000
    CardinalityViolation,
    /// 2201B
    InvalidRegularExpression,
    /// 2201W
    InvalidRowCount,
    /// 42712
    DuplicateAlias,
    /// 22011
    SubstringError,
    /// 22025
    InvalidEscapeSequence,
    /// 42601
    SyntaxError,
    /// 42P02
    UndefinedParameter,
    /// 42P10
    InvalidColumnReference,
    /// 42P18
    IndeterminateDatatype,
    /// 42846
    CannotCoerce,
    /// 42501
    InsufficientPrivilege,
    /// 42703
    UndefinedColumn,
    /// 42702
    AmbiguousColumn,
    /// 42803
    GroupingError,
    /// 42P20
    WindowingError,
    /// 42804
    DatatypeMismatch,
    /// 42809
    WrongObjectType,
    /// 42883
    UndefinedFunction,
    /// 42P01
    UndefinedTable,
    /// 42P03
    DuplicateCursor,
    /// 42P07
    DuplicateTable,
    /// 42704
    UndefinedObject,
    /// 53100
    DiskFull,
    /// 53200
    OutOfMemory,
    /// 53300
    TooManyConnections,
    /// 53400
    ConfigurationLimitExceeded,
    /// 54000
    ProgramLimitExceeded,
    /// 57014
    QueryCanceled,
    /// 57P01
    AdminShutdown,
    /// 58030
    IoError,
    /// XX000
    InternalError,
}

impl SqlState {
    /// The five characters of the wire.
    pub fn code(self) -> &'static str {
        match self {
            SqlState::FeatureNotSupported => "0A000",
            SqlState::CardinalityViolation => "21000",
            SqlState::InvalidRowCount => "2201W",
            SqlState::DuplicateAlias => "42712",
            SqlState::SubstringError => "22011",
            SqlState::InvalidRegularExpression => "2201B",
            SqlState::InvalidEscapeSequence => "22025",
            SqlState::UndefinedParameter => "42P02",
            SqlState::InvalidColumnReference => "42P10",
            SqlState::IndeterminateDatatype => "42P18",
            SqlState::CannotCoerce => "42846",
            SqlState::ProtocolViolation => "08P01",
            SqlState::DataException => "22000",
            SqlState::CharacterNotInRepertoire => "22021",
            SqlState::InvalidBinaryRepresentation => "22P03",
            SqlState::NotNullViolation => "23502",
            SqlState::DuplicatePreparedStatement => "42P05",
            SqlState::CantChangeRuntimeParam => "55P02",
            SqlState::InvalidSavepoint => "3B001",
            SqlState::InvalidSchemaName => "3F000",
            SqlState::NumericValueOutOfRange => "22003",
            SqlState::InvalidDatetimeFormat => "22007",
            SqlState::DatetimeFieldOverflow => "22008",
            SqlState::DivisionByZero => "22012",
            SqlState::InvalidParameterValue => "22023",
            SqlState::InvalidTextRepresentation => "22P02",
            SqlState::BadCopyFileFormat => "22P04",
            SqlState::ActiveSqlTransaction => "25001",
            SqlState::NoActiveSqlTransaction => "25P01",
            SqlState::IdleInTransactionSessionTimeout => "25P03",
            SqlState::ReadOnlySqlTransaction => "25006",
            SqlState::InFailedSqlTransaction => "25P02",
            SqlState::InvalidSqlStatementName => "26000",
            SqlState::DependentObjectsStillExist => "2BP01",
            SqlState::InvalidCursorName => "34000",
            SqlState::InsufficientPrivilege => "42501",
            SqlState::SyntaxError => "42601",
            SqlState::AmbiguousColumn => "42702",
            SqlState::UndefinedColumn => "42703",
            SqlState::UndefinedObject => "42704",
            SqlState::GroupingError => "42803",
            SqlState::WindowingError => "42P20",
            SqlState::DatatypeMismatch => "42804",
            SqlState::WrongObjectType => "42809",
            SqlState::UndefinedFunction => "42883",
            SqlState::UndefinedTable => "42P01",
            SqlState::DuplicateCursor => "42P03",
            SqlState::DuplicateTable => "42P07",
            SqlState::DiskFull => "53100",
            SqlState::OutOfMemory => "53200",
            SqlState::TooManyConnections => "53300",
            SqlState::ConfigurationLimitExceeded => "53400",
            SqlState::ProgramLimitExceeded => "54000",
            SqlState::QueryCanceled => "57014",
            SqlState::AdminShutdown => "57P01",
            SqlState::IoError => "58030",
            SqlState::InternalError => "XX000",
        }
    }
}

/// An error as it goes over the wire: lower case, no full stop, the object named; the hint is a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What kind of error, for programs.
    pub state: SqlState,
    /// What went wrong, for people.
    pub message: String,
    /// What helps, as a full sentence.
    pub hint: Option<Cow<'static, str>>,
    /// Where in the statement, in characters from 1.
    pub position: Option<usize>,
}

impl SqlError {
    /// An error without hint and position.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        SqlError {
            state,
            message: message.into(),
            hint: None,
            position: None,
        }
    }

    /// A construct that the engine does not speak, with the hint that Materialize does.
    pub fn unsupported(construct: impl std::fmt::Display) -> Self {
        SqlError::new(
            SqlState::FeatureNotSupported,
            format!("{construct} is not supported by the embedded engine"),
        )
        .hint("Materialize runs the full language: start wikitop with --materialize URL.")
    }

    /// The same error with a hint.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with a position, in characters from 1.
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }
}
