import Glibc

/// What `isle-wasm` is asked to do, read from its arguments.
///
///     isle-wasm compile --library L --module M --output O [--fuel] [--user UID]
///     isle-wasm run --library L --artifact A --form core|component [--fuel N] [--memory BYTES]
///                   [--timeout MS] [--cpu-time MS] [--network] [--dir HOST::GUEST[:ro]]... -- NAME [ARG]...
///
/// The environment of the process is the guest's, but for variables that begin with `SWIFT_`.
enum Command {
    struct Compile {
        var library = ""
        var module = ""
        var output = ""
        var usesFuel = false
        var user: UInt32?
    }

    struct Directory {
        var host: String
        var guest: String
        var readOnly: Bool
    }

    struct Run {
        var library = ""
        var artifact = ""
        var isComponent = false
        var fuel: UInt64?
        var memory: Int64?
        /// Milliseconds.
        var timeout: Int64?
        var cpuTime: Int64?
        var network = false
        var directories: [Directory] = []
        var arguments: [String] = []
    }

    case compile(Compile)
    case run(Run)

    /// Nil if the arguments are not of the form above; the reason is written to standard error.
    init?(_ arguments: [String]) {
        var reader = Reader(words: arguments)
        switch reader.next() {
        case "compile":
            var compile = Compile()
            while let word = reader.next() {
                switch word {
                case "--library": compile.library = reader.value(of: word)
                case "--module": compile.module = reader.value(of: word)
                case "--output": compile.output = reader.value(of: word)
                case "--fuel": compile.usesFuel = true
                case "--user": compile.user = UInt32(reader.value(of: word))
                default: reader.refuse(word)
                }
            }
            guard reader.isGood, !compile.library.isEmpty, !compile.module.isEmpty, !compile.output.isEmpty else {
                return nil
            }
            self = .compile(compile)
        case "run":
            guard let run = Self.readRun(&reader) else { return nil }
            self = .run(run)
        default:
            Report.line("usage: isle-wasm compile|run …")
            return nil
        }
    }

    private static func readRun(_ reader: inout Reader) -> Run? {
        var run = Run()
        words: while let word = reader.next() {
            switch word {
            case "--library": run.library = reader.value(of: word)
            case "--artifact": run.artifact = reader.value(of: word)
            case "--form": run.isComponent = reader.value(of: word) == "component"
            case "--fuel": run.fuel = UInt64(reader.value(of: word))
            case "--memory": run.memory = Int64(reader.value(of: word))
            case "--timeout": run.timeout = Int64(reader.value(of: word))
            case "--cpu-time": run.cpuTime = Int64(reader.value(of: word))
            case "--network": run.network = true
            case "--dir":
                guard let directory = Self.directory(reader.value(of: word)) else {
                    reader.refuse(word)
                    continue
                }
                run.directories.append(directory)
            case "--":
                run.arguments = reader.rest()
                break words
            default: reader.refuse(word)
            }
        }
        return reader.isGood && !run.library.isEmpty && !run.artifact.isEmpty ? run : nil
    }

    /// `HOST::GUEST` or `HOST::GUEST:ro`.
    private static func directory(_ text: String) -> Directory? {
        var text = text[...]
        let readOnly = text.hasSuffix(":ro")
        if readOnly { text = text.dropLast(3) }
        let bytes = Array(text.utf8)
        guard bytes.count >= 4,
            let split = (1..<bytes.count - 2).first(where: { bytes[$0] == 58 && bytes[$0 + 1] == 58 })
        else { return nil }
        return Directory(
            host: String(decoding: bytes[..<split], as: UTF8.self),
            guest: String(decoding: bytes[(split + 2)...], as: UTF8.self), readOnly: readOnly)
    }
}

private struct Reader {
    let words: [String]
    private var index = 0
    private(set) var isGood = true

    init(words: [String]) { self.words = words }

    mutating func next() -> String? {
        guard index < words.count else { return nil }
        defer { index += 1 }
        return words[index]
    }

    mutating func value(of option: String) -> String {
        if let word = next() { return word }
        Report.line("\(option) needs a value")
        isGood = false
        return ""
    }

    mutating func rest() -> [String] {
        defer { index = words.count }
        return Array(words[index...])
    }

    mutating func refuse(_ word: String) {
        Report.line("'\(word)' is not understood")
        isGood = false
    }
}
