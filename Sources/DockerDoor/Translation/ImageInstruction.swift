import Model

/// An instruction of a Dockerfile that only says how an image is run, as `docker commit --change` has it.
struct ImageInstruction: Sendable {
    private enum Change: Sendable {
        case command([String]), entrypoint([String]), variables([(String, String)]), ports([String])
        case labels([(String, String)]), user(String), folder(String), volumes([String]), signal(String)
    }

    private let change: Change

    init(_ text: String) throws {
        let trimmed = text.drop { $0 == " " || $0 == "\t" }
        let name = trimmed.prefix { $0 != " " && $0 != "\t" }.uppercased()
        let rest = String(trimmed.dropFirst(name.count).drop { $0 == " " || $0 == "\t" })
        guard !rest.isEmpty else {
            throw EngineError(.invalidArgument, "the change \(Names.quoted(text)) says nothing after its first word")
        }
        switch name {
        case "CMD": change = .command(Self.program(rest))
        case "ENTRYPOINT": change = .entrypoint(Self.program(rest))
        case "ENV": change = .variables(try Self.pairs(rest, text))
        case "LABEL": change = .labels(try Self.pairs(rest, text))
        case "EXPOSE": change = .ports(Self.words(rest).map { $0.contains("/") ? $0 : $0 + "/tcp" })
        case "USER": change = .user(rest)
        case "WORKDIR": change = .folder(rest)
        case "VOLUME": change = .volumes(Self.list(rest) ?? Self.words(rest))
        case "STOPSIGNAL": change = .signal(rest)
        default:
            throw EngineError(
                .invalidArgument, "\(Names.quoted(name)) is not a valid change command",
                hint: "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, WORKDIR, VOLUME or STOPSIGNAL")
        }
    }

    func apply(to config: inout ImageConfig) {
        switch change {
        case .command(let words): config.cmd = words
        case .entrypoint(let words): config.entrypoint = words
        case .variables(let pairs):
            for (name, value) in pairs {
                config.env.removeAll { $0.hasPrefix(name + "=") }
                config.env.append("\(name)=\(value)")
            }
        case .labels(let pairs): for (name, value) in pairs { config.labels[name] = value }
        case .ports(let ports): config.exposedPorts += ports.filter { !config.exposedPorts.contains($0) }
        case .user(let user): config.user = user
        case .folder(let path):
            config.workingDirectory = path.hasPrefix("/") ? path : (config.workingDirectory ?? "") + "/" + path
        case .volumes(let paths): config.volumes += paths.filter { !config.volumes.contains($0) }
        case .signal(let name): config.stopSignal = name
        }
    }

    /// A JSON list, or a line for the shell.
    private static func program(_ text: String) -> [String] { list(text) ?? ["/bin/sh", "-c", text] }

    private static func list(_ text: String) -> [String]? {
        guard text.hasPrefix("["), let json = try? JSONParser.parse(text.utf8) else { return nil }
        let words = json.elements.compactMap(\.string)
        return words.count == json.elements.count ? words : nil
    }

    /// Words with quotes and backslashes taken out.
    private static func words(_ text: String) -> [String] {
        CommandWords.scan(text) { $0 == " " || $0 == "\t" }.words
    }

    /// `NAME=value …`, or the old form `NAME value with blanks`.
    private static func pairs(_ rest: String, _ text: String) throws -> [(String, String)] {
        let words = words(rest)
        if let first = words.first, !first.contains("="), words.count > 1 {
            return [(first, String(rest.dropFirst(first.count).drop { $0 == " " }))]
        }
        return try words.map { word in
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw EngineError(.invalidArgument, "the change \(Names.quoted(text)) has no NAME=value")
            }
            return (parts[0], parts[1])
        }
    }
}
