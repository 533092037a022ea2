/// A command line that people write as one text.
public enum CommandWords {
    /// Words as a POSIX shell splits them: quotes and backslashes, no expansion. Nil if a quote is not closed.
    public static func split(_ text: String) -> [String]? {
        let (words, isClosed) = scan(text) { $0 == " " || $0 == "\t" || $0 == "\n" }
        return isClosed ? words : nil
    }

    /// The words, and whether the text ends outside quotes and not with a backslash.
    ///
    /// - Parameter isBlank: what stands between words.
    public static func scan(_ text: String, at isBlank: (Character) -> Bool) -> (words: [String], isClosed: Bool) {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var escaped = false
        for character in text {
            if escaped {
                word = (word ?? "") + String(character)
                escaped = false
            } else if character == "\\", quote != "'" {
                escaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if isBlank(character) {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let done = word { words.append(done) }
        return (words, quote == nil && !escaped)
    }
}
