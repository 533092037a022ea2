import LinuxHost
import Model

/// How the program of an application machine ended, as isle-init leaves it on the report disk. The guest can write
/// anything there; what is not a report counts as none.
struct ExitReport: Sendable, Hashable {
    var code: Int32
    var signal: Int32?
    var reason: String?

    /// `exit <code> <signal> <reason>`, filled up with NUL.
    init?(_ bytes: [UInt8]) {
        let text = String(decoding: bytes.prefix(511).prefix { $0 != 0 }, as: UTF8.self)
        let words = text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "exit", let code = Int32(words[1]), (0...255).contains(code),
            let signal = Int32(words[2]), (0...64).contains(signal)
        else { return nil }
        self.code = code
        self.signal = signal == 0 ? nil : signal
        let quoted = Names.quoted(String(words[3].prefix(200)))
        reason = words[3].isEmpty ? nil : String(quoted.dropFirst().dropLast())
    }

    /// The machine's end from QEMU's: of an application that of its program, else 0 for an orderly power-off.
    static func outcome(of qemu: ExitRecord, record: MachineRecord, run: RootDirectory) -> ExitRecord {
        guard record.isApplication, qemu.signal == nil else { return qemu }
        let path = "\(MachineFiles.folder)/\(MachineFiles.report)"
        var result = qemu
        if let bytes = try? run.readFile(path, limit: MachineFiles.reportSize), let report = ExitReport(bytes) {
            result.code = report.code
            result.signal = report.signal
            result.reason = report.reason
        } else {
            result.code = 125
            result.reason =
                qemu.code == 0
                ? "the machine ended before its program did; its console log tells why"
                : "QEMU ended with exit code \(qemu.code); the log has its words"
        }
        return result
    }
}
