import CHost

/// What the guest knows about itself, as `key=value` lines: kernel, hostname, uptime (seconds), memory and
/// memory.available (kibibytes), cpu (user, system and idle ticks), processes, and one address line per address.
func guestFacts() -> [UInt8] {
    var text = ""
    func line(_ key: String, _ value: String) { text += key + "=" + value + "\n" }
    var buffer = [UInt8](repeating: 0, count: 8192)
    func cText(_ body: (UnsafeMutablePointer<CChar>) -> Int32) -> String {
        buffer[0] = 0
        let result = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { body($0.assumingMemoryBound(to: CChar.self)) } ?? -1
        }
        guard result == 0, let end = buffer.firstIndex(of: 0) else { return "" }
        return String(decoding: buffer[0..<end], as: UTF8.self)
    }
    line("kernel", cText { guest_kernel_release($0, 256) })
    line("hostname", cText { guest_hostname($0, 256) })
    line("uptime", splitWords(readLine("/proc/uptime")).first ?? "")
    for entry in splitLines(readFile("/proc/meminfo") ?? []) {
        let words = splitWords(entry)
        guard words.count >= 2 else { continue }
        if words[0] == "MemTotal:" { line("memory", words[1]) }
        if words[0] == "MemAvailable:" { line("memory.available", words[1]) }
    }
    line("cpu", readLine("/proc/stat"))
    let load = splitWords(readLine("/proc/loadavg"))
    if load.count >= 4 {
        let counts = splitFields(load[3], "/")
        if counts.count == 2 { line("processes", counts[1]) }
    }
    let size = buffer.count
    let length = buffer.withUnsafeMutableBytes { bytes in
        bytes.baseAddress.map { guest_addresses($0.assumingMemoryBound(to: CChar.self), size) } ?? 0
    }
    for address in splitLines([UInt8](buffer[0..<length])) { line("address", address) }
    return [UInt8](text.utf8)
}
