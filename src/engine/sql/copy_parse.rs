//! COPY from tokens: its two directions and their options.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, name_of};
use super::parse::{select_all_from, select_from};
use super::statement::{CopyFormat, CopyOptions, Source, Statement};
use crate::engine::error::{SqlError, SqlState};

impl Cursor<'_> {
    pub(super) fn copy(&mut self) -> Result<Statement, SqlError> {
        if self.parser.consume_token(&Token::LParen) {
            let source = self.source()?;
            self.token(&Token::RParen)?;
            self.keywords(&["TO", "STDOUT"])?;
            let options = self.copy_options()?;
            return Ok(Statement::CopyOut { source, options });
        }
        let written = self
            .parser
            .parse_object_name(false)
            .map_err(|error| self.error(error))?;
        let table = name_of(&written)?;
        let columns = self.column_names()?;
        if self.word("FROM") {
            self.keywords(&["STDIN"])?;
            let options = self.copy_options()?;
            return Ok(Statement::CopyIn {
                table,
                columns,
                options,
            });
        }
        self.keywords(&["TO", "STDOUT"])?;
        let query = if columns.is_empty() {
            select_all_from(written)
        } else {
            select_from(columns.into_iter().map(quoted_item).collect(), written)
        };
        Ok(Statement::CopyOut {
            source: Source::Select(query),
            options: self.copy_options()?,
        })
    }

    /// The options of COPY, in today's form `[WITH] (FORMAT csv, ...)` and in the old one, `[WITH] CSV HEADER`.
    fn copy_options(&mut self) -> Result<CopyOptions, SqlError> {
        let mut options = CopyOptions::default();
        self.word("WITH");
        if self.parser.consume_token(&Token::LParen) {
            loop {
                let name = self.identifier()?;
                self.copy_option(&name, &mut options)?;
                if !self.comma() {
                    self.token(&Token::RParen)?;
                    return Ok(options);
                }
            }
        }
        while self.parser.peek_token_ref().token != Token::EOF {
            let name = self.identifier()?;
            match name.as_str() {
                "csv" => options.format = CopyFormat::Csv,
                "binary" => options.format = CopyFormat::Binary,
                _ => {
                    self.word("AS");
                    self.copy_option(&name, &mut options)?;
                }
            }
        }
        Ok(options)
    }

    fn copy_option(&mut self, name: &str, options: &mut CopyOptions) -> Result<(), SqlError> {
        match name {
            "format" => {
                let format = self.literal()?;
                options.format = match format.to_ascii_lowercase().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    _ => {
                        return Err(SqlError::new(
                            SqlState::InvalidParameterValue,
                            format!("unknown FORMAT: {format}"),
                        ));
                    }
                };
            }
            "delimiter" => options.delimiter = Some(self.one_byte("DELIMITER")?),
            "quote" => options.quote = Some(self.one_byte("QUOTE")?),
            "escape" => options.escape = Some(self.one_byte("ESCAPE")?),
            "null" => options.null = Some(self.literal()?),
            "header" => {
                options.header = match self.parser.peek_token_ref().token {
                    Token::Comma | Token::RParen | Token::EOF => true,
                    _ => self.option_bool()?,
                }
            }
            "encoding" => {
                let encoding = self.literal()?;
                if !matches!(
                    encoding.to_ascii_lowercase().as_str(),
                    "utf8" | "utf-8" | "unicode"
                ) {
                    return Err(SqlError::unsupported(format_args!(
                        "COPY with ENCODING {encoding}"
                    )));
                }
            }
            other => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    format!("option \"{other}\" not recognized"),
                ));
            }
        }
        Ok(())
    }

    fn one_byte(&mut self, option: &str) -> Result<u8, SqlError> {
        let text = self.literal()?;
        match text.as_bytes() {
            [byte] if !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            _ => Err(SqlError::new(
                SqlState::InvalidParameterValue,
                format!("COPY {option} must be a single one-byte character"),
            )),
        }
    }
}

fn quoted_item(column: String) -> ast::SelectItem {
    ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(ast::Ident::with_quote('"', column)))
}
