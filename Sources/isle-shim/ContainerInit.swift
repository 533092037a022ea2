import CHost

/// The shim's program as process 1 of an application that asked for an init: runs the application's program as its
/// child, passes signals on to it, reaps what is orphaned, and ends as the child ends.
enum ContainerInit {
    /// Where the runtime shows the program inside; its name tells what it is to be.
    static let path = "/dev/isle-init"

    /// The program and its arguments if this process is such an init, else nil.
    static func program() -> [String]? {
        guard let bytes = readFile("/proc/self/cmdline") else { return nil }
        var words: [String] = []
        for word in bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast() {
            words.append(String(decoding: word, as: UTF8.self))
        }
        guard let first = words.first, first.utf8.elementsEqual(path.utf8), words.count > 1 else { return nil }
        return Array(words.dropFirst())
    }

    static func run(_ arguments: [String]) -> Never {
        // As another process than 1, in a pid namespace that is not its own, orphans come to it all the same.
        _ = isle_subreaper()
        isle_block_signals()
        let child = isle_fork(0)
        if child < 0 { fail(failure("making a process", child)) }
        if child == 0 {
            isle_lead_foreground()
            isle_default_signals()
            let program = Program(
                arguments: arguments, environment: nil, cgroups: [], input: 0, output: 1, error: 2)
            fail(program.execute())
        }
        while true {
            let number = isle_wait_signal()
            if number > 0, number != isle_signal_child() { _ = isle_kill(child, number) }
            var status: Int32 = 0
            while true {
                let pid = isle_reap(&status)
                if pid <= 0 { break }
                if pid == child { leave(status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f) }
            }
        }
    }

    private static func fail(_ failure: ShimFailure) -> Never {
        var text: [UInt8] = []
        text.append(contentsOf: failure.text.utf8)
        text.append(0x0A)
        _ = writeAll(2, text)
        // docker run's codes.
        switch failure.kind {
        case .notFound: leave(127)
        case .notExecutable: leave(126)
        default: leave(125)
        }
    }
}
