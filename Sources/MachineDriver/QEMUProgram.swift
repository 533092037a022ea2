import LinuxHost
import Model

/// The QEMU that is installed.
actor QEMUProgram {
    /// Absolute path.
    let path: String
    private var known: String?
    private var spice: Bool?

    init(path: String) { self.path = path }

    /// QEMU's program for this machine's architecture.
    static var usualPath: String {
        #if arch(arm64)
            "/usr/bin/qemu-system-aarch64"
        #else
            "/usr/bin/qemu-system-x86_64"
        #endif
    }

    /// `7.2.22`. `unsupported` if QEMU is not there.
    func version() async throws -> String {
        if let known { return known }
        let result: ProcessResult
        do {
            result = try await ProcessRunner.check(path, ["--version"], timeout: .seconds(20))
        } catch let error as EngineError where error.code == .notFound {
            throw EngineError(
                .unsupported, "machines need QEMU, and \(path) is not there",
                hint: "apt-get install qemu-system-x86")
        }
        let version = QEMUProgram.version(in: result.outputText)
        known = version
        return version
    }

    /// Whether it can serve a machine's screen: in some distributions that is a package of its own.
    func hasScreens() async -> Bool {
        if let spice { return spice }
        let words = try? await ProcessRunner.run(path, ["-spice", "help"], timeout: .seconds(20))
        let found = words.map { $0.outputText.contains("disable-ticketing") } ?? false
        spice = found
        return found
    }

    /// `QEMU emulator version 7.2.22 (Debian …)` → `7.2.22`
    static func version(in text: String) -> String {
        let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard let index = words.firstIndex(of: "version"), index + 1 < words.count else { return "unknown" }
        return String(words[index + 1])
    }
}
