//! Parse errors rendered the way compilers render them.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::error::ParseError;

impl ParseError {
    /// Renders the error with its position in the file, the way rustc would, without
    /// colour.
    ///
    /// Values that [`excerpt`](Self::excerpt) hides are hidden here too.
    ///
    /// ```
    /// # use vmx::Document;
    /// let error = Document::parse(&b"a = two words\n"[..]).unwrap_err();
    /// assert_eq!(error.render("my.vmx"), "\
    /// error: only a comment may follow the value; put a value with blanks in quotes
    ///  --> my.vmx:1:9
    ///   |
    /// 1 | a = two words
    ///   |         ^^^^^");
    /// ```
    #[must_use]
    pub fn render(&self, path: &str) -> String {
        let (line, range) = self.shown();
        let position = self.position();
        let message = self.kind().to_string();
        let title = Level::ERROR.primary_title(&*message);
        let snippet = Snippet::source(line)
            .path(path)
            .line_start(position.line)
            .annotation(AnnotationKind::Primary.span(range));
        Renderer::plain().render(&[title.element(snippet)])
    }
}
