/// LXD's names of what was added to the API since 1.0 and that is true of instances here. Clients ask for them before they
/// use a thing; none stands here that is not offered.
enum InstanceExtensions {
    static let names = [
        "container_full", "container_last_used_at", "container_cpu_time", "container_host_shutdown_timeout",
        "container_image_properties", "directory_manipulation", "file_delete", "file_append", "file_symlinks",
        "file_get_symlink", "instance_file_head", "instance_get_full", "instance_nic_network", "container_disk_shift",
        "proxy_udp", "proxy_unix", "proxy_unix_dac_properties",
        "unix_priv_drop", "proxy_haproxy_protocol", "proxy_nat", "proxy_tcp_udp_multi_port_handling", "cloud_init",
        "api_os", "container_edit_metadata",
        "instance_bulk_state_change", "instances_rebuild", "id_map", "id_map_base", "container_protection_shift",
        "container_mount_propagation", "kernel_limits", "linux_sysctl", "usb_devices", "gpu_devices", "resource_limits",
        "container_syscall_filtering",
    ]
}
