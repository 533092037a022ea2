/// What stands behind the options of `run` and `exec`: the first word names the image or the instance, all others,
/// those with dashes too, are the program and its arguments.
public enum ImageAndCommand {
    public static func split(_ words: [String], verb: String, what: String = "IMAGE") throws(UsageError) -> (
        first: String, command: [String]
    ) {
        var rest = words[...]
        if rest.first == "--" {
            rest = rest.dropFirst()
        } else if let first = rest.first, first.hasPrefix("-"), first != "-" {
            throw UsageError("unknown option \(Quantity.quoted(first))", hint: "see 'isle \(verb) --help'")
        }
        guard let first = rest.popFirst() else {
            throw UsageError("\(what) is missing", hint: "see 'isle \(verb) --help'")
        }
        // `lxc exec NAME -- COMMAND`.
        if rest.first == "--" { rest = rest.dropFirst() }
        return (first, Array(rest))
    }
}
