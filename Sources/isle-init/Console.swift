import CHost

/// Writes a line to the console.
func say(_ text: String) {
    let bytes = [UInt8]((text + "\r\n").utf8)
    _ = bytes.withUnsafeBytes { guest_write(2, $0.baseAddress, bytes.count) }
}

/// Nothing can go on: says why and powers the machine off.
func fail(_ text: String) -> Never {
    say("isle-init: " + text)
    _ = guest_drain(2)
    guest_sync()
    _ = guest_reboot(1)
    while true { guest_sleep(1000) }
}
