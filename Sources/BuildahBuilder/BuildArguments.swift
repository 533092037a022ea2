/// Arguments of a build and buildah's cache.
///
/// buildah finds a step in its cache by the text of the instruction; the values of arguments belong to that of RUN alone.
/// The text of `ENV A=$A` is the same for every value, so that a build with another value would be given the image of the
/// first. Such builds neither use the cache nor leave anything in it.
enum BuildArguments {
    /// Whether an instruction other than RUN and FROM has one of the values in it.
    static func escapeTheCache(_ text: String, _ values: [String: String]) -> Bool {
        let words = values.keys.flatMap { ["$\($0)", "${\($0)"] }
        guard !words.isEmpty else { return false }
        var isContinued = false
        var isCovered = false
        for line in text.split(whereSeparator: \.isNewline) {
            let trimmed = line.drop { $0 == " " || $0 == "\t" }
            if trimmed.hasPrefix("#") { continue }
            if !isContinued {
                let name = trimmed.prefix { $0 != " " && $0 != "\t" }.uppercased()
                isCovered = name == "RUN" || name == "FROM"
            }
            isContinued = line.last == "\\" || line.last == "`"
            if !isCovered, words.contains(where: { line.contains($0) }) { return true }
        }
        return false
    }
}
