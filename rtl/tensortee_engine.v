// SPDX-License-Identifier: Apache-2.0
//
// tensortee_engine: NPU-side memory protection at tensor granularity, inline on AXI4.
//
//            NPU s_axi ---> read_path  <--- keystream_gen <--- AES lanes
//                  |            |  |                              ^
//                  |            |  +--> line_hash --> verifier    | round keys, tables
//                  |            v                        |     key_unit <--- key_*
//                  |         m_axi DRAM           command_unit    |
//                  |            ^                        |     engine_ctrl
//                  +------> write_path (same parts)  tensor_table
//                                                        |
//                                    s_axil ---> axil_csr, irq, alerts
//
// Every tensor lies in DRAM as one AES-GCM message (NIST SP 800-38D): IV = domain 0 ||
// tensor_id || version, empty AAD; its tag and version number stay here. Reads are released
// before their tag is known (delayed verification); closing the window compares.
//
// Byte order  the byte at the lowest address is data[7:0] and the first byte of the NIST byte
//             string. Example, DATA_W = 128: plaintext bytes 00 01 .. 0f at address 0 are
//             128'h0f0e..0100 on s_axi_wdata.
// Handshakes  AXI4, AXI4-Lite; key_*: valid/ready; zeroize: level, one cycle is enough.
// Latency     a read takes 4 cycles more than a wire (2 on AR, 2 on R) if the memory needs
//             longer than the keystream (about 20 cycles).
// Throughput  1 beat per cycle in each direction at the same time.
// Not supported  FIXED bursts, WRAP writes, partial-line writes, exclusive access, bypass of the
//             protection: all refused as the interface documentation says.
//
// SEC_CM: KEY.SIDELOAD - the key enters through key_* only; no register carries it.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module tensortee_engine #(
    parameter DATA_W    = 128,   // AXI data width in bits: 128, 256, 512
    parameter KEY_W     = 128,   // AES key width in bits: 128, 256
    parameter ADDR_W    = 40,    // AXI address width in bits: 32 .. 48
    parameter ID_W      = 4,     // AXI ID width in bits: 1 .. 16
    parameter SLOTS     = 16,    // tensor slots: power of two, 2 .. 64
    parameter RD_TXNS   = 8,     // outstanding read bursts: 4, 8, 16
    parameter WR_TXNS   = 4,     // outstanding write bursts: 4, 8, 16
    parameter KS_DEPTH  = 32,    // keystream beats buffered per burst: 32, 64
    parameter MAP_WORDS = 256,   // write map per slot in words of 64 lines: power of two, 4 .. 1024
    parameter VERSION_W = 64,    // bits of the version number in use: 4 .. 64
    parameter OWNER     = 1      // top four bits of every tensor_id: 0 .. 15
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                zeroize,

    input  wire                key_valid,
    output wire                key_ready,
    input  wire [KEY_W-1:0]    key_data,

    output wire                irq,
    output wire                alert_recov,
    output wire                alert_fatal,

    // Control
    input  wire [11:0]         s_axil_awaddr,
    input  wire [2:0]          s_axil_awprot,
    input  wire                s_axil_awvalid,
    output wire                s_axil_awready,
    input  wire [31:0]         s_axil_wdata,
    input  wire [3:0]          s_axil_wstrb,
    input  wire                s_axil_wvalid,
    output wire                s_axil_wready,
    output wire [1:0]          s_axil_bresp,
    output wire                s_axil_bvalid,
    input  wire                s_axil_bready,
    input  wire [11:0]         s_axil_araddr,
    input  wire [2:0]          s_axil_arprot,
    input  wire                s_axil_arvalid,
    output wire                s_axil_arready,
    output wire [31:0]         s_axil_rdata,
    output wire [1:0]          s_axil_rresp,
    output wire                s_axil_rvalid,
    input  wire                s_axil_rready,

    // NPU
    input  wire [ID_W-1:0]     s_axi_awid,
    input  wire [ADDR_W-1:0]   s_axi_awaddr,
    input  wire [7:0]          s_axi_awlen,
    input  wire [2:0]          s_axi_awsize,
    input  wire [1:0]          s_axi_awburst,
    input  wire                s_axi_awlock,
    input  wire [3:0]          s_axi_awcache,
    input  wire [2:0]          s_axi_awprot,
    input  wire [3:0]          s_axi_awqos,
    input  wire                s_axi_awvalid,
    output wire                s_axi_awready,
    input  wire [DATA_W-1:0]   s_axi_wdata,
    input  wire [DATA_W/8-1:0] s_axi_wstrb,
    input  wire                s_axi_wlast,
    input  wire                s_axi_wvalid,
    output wire                s_axi_wready,
    output wire [ID_W-1:0]     s_axi_bid,
    output wire [1:0]          s_axi_bresp,
    output wire                s_axi_bvalid,
    input  wire                s_axi_bready,
    input  wire [ID_W-1:0]     s_axi_arid,
    input  wire [ADDR_W-1:0]   s_axi_araddr,
    input  wire [7:0]          s_axi_arlen,
    input  wire [2:0]          s_axi_arsize,
    input  wire [1:0]          s_axi_arburst,
    input  wire                s_axi_arlock,
    input  wire [3:0]          s_axi_arcache,
    input  wire [2:0]          s_axi_arprot,
    input  wire [3:0]          s_axi_arqos,
    input  wire                s_axi_arvalid,
    output wire                s_axi_arready,
    output wire [ID_W-1:0]     s_axi_rid,
    output wire [DATA_W-1:0]   s_axi_rdata,
    output wire [1:0]          s_axi_rresp,
    output wire                s_axi_rlast,
    output wire                s_axi_rvalid,
    input  wire                s_axi_rready,

    // DRAM
    output wire [ID_W-1:0]     m_axi_awid,
    output wire [ADDR_W-1:0]   m_axi_awaddr,
    output wire [7:0]          m_axi_awlen,
    output wire [2:0]          m_axi_awsize,
    output wire [1:0]          m_axi_awburst,
    output wire                m_axi_awlock,
    output wire [3:0]          m_axi_awcache,
    output wire [2:0]          m_axi_awprot,
    output wire [3:0]          m_axi_awqos,
    output wire                m_axi_awvalid,
    input  wire                m_axi_awready,
    output wire [DATA_W-1:0]   m_axi_wdata,
    output wire [DATA_W/8-1:0] m_axi_wstrb,
    output wire                m_axi_wlast,
    output wire                m_axi_wvalid,
    input  wire                m_axi_wready,
    input  wire [ID_W-1:0]     m_axi_bid,
    input  wire [1:0]          m_axi_bresp,
    input  wire                m_axi_bvalid,
    output wire                m_axi_bready,
    output wire [ID_W-1:0]     m_axi_arid,
    output wire [ADDR_W-1:0]   m_axi_araddr,
    output wire [7:0]          m_axi_arlen,
    output wire [2:0]          m_axi_arsize,
    output wire [1:0]          m_axi_arburst,
    output wire                m_axi_arlock,
    output wire [3:0]          m_axi_arcache,
    output wire [2:0]          m_axi_arprot,
    output wire [3:0]          m_axi_arqos,
    output wire                m_axi_arvalid,
    input  wire                m_axi_arready,
    input  wire [ID_W-1:0]     m_axi_rid,
    input  wire [DATA_W-1:0]   m_axi_rdata,
    input  wire [1:0]          m_axi_rresp,
    input  wire                m_axi_rlast,
    input  wire                m_axi_rvalid,
    output wire                m_axi_rready
);

    localparam LANES    = DATA_W / 128;
    localparam SIZE     = $clog2(DATA_W / 8);
    localparam SLOT_W   = $clog2(SLOTS);
    localparam RTW      = $clog2(RD_TXNS);
    localparam WTW      = $clog2(WR_TXNS);
    localparam TAG_W    = ((RTW > WTW) ? RTW : WTW) + 1;
    localparam RK_W     = 128 * (KEY_W / 32 + 7);
    localparam KS_WORDS = KS_DEPTH * ((RD_TXNS > WR_TXNS) ? RD_TXNS : WR_TXNS);
    localparam KSA_W    = $clog2(KS_WORDS);
    localparam RKA_W    = $clog2(KS_DEPTH * RD_TXNS);
    localparam WKA_W    = $clog2(KS_DEPTH * WR_TXNS);

    generate
        if ((DATA_W != 128 && DATA_W != 256 && DATA_W != 512) || (KEY_W != 128 && KEY_W != 256)
            || ADDR_W < 32 || ADDR_W > 48 || ID_W < 1 || ID_W > 16
            || SLOTS < 2 || SLOTS > 64 || (SLOTS & (SLOTS - 1)) != 0
            || (RD_TXNS != 4 && RD_TXNS != 8 && RD_TXNS != 16) || (WR_TXNS != 4 && WR_TXNS != 8 && WR_TXNS != 16)
            || (KS_DEPTH != 32 && KS_DEPTH != 64)
            || MAP_WORDS < 4 || MAP_WORDS > 1024 || (MAP_WORDS & (MAP_WORDS - 1)) != 0
            || VERSION_W < 4 || VERSION_W > 64 || OWNER < 0 || OWNER > 15) begin : g_illegal
            // Elaboration stops here: there is no such module.
            illegal_tensortee_engine_parameters u_see_the_table_of_parameters_in_docs_interfaces ();
        end
    endgenerate

    // ------------------------------------------------------------------------------------
    // Signals between the parts
    // ------------------------------------------------------------------------------------
    wire [2:0]        engine_state;
    wire              engine_ready, key_enable, zeroize_all, cu_fatal, wm_fault, aw_fault, ku_fault, fatal_now, fatal_event;
    wire              ku_zeroize, wipe_all, wipe_keyed, ks_wipe;
    wire [KSA_W-1:0]  ks_wipe_addr;
    wire              any_busy;

    wire              ku_no_key, ku_setup, ku_ready, key_refused, ku_key_ready;
    wire [RK_W-1:0]   round_keys;
    wire [127:0]      h, hinv1, hinv2, hinv3, g;
    wire              tbl_we;
    wire [2:0]        tbl_sel;
    wire [7:0]        tbl_addr;
    wire [127:0]      tbl_data;
    wire              op_valid, op_ready, op_done;
    wire [1:0]        op_kind;
    wire [127:0]      op_a, op_b, op_p;
    wire [36:0]       op_e;

    wire              aes_req_ready, aes_rsp_valid;
    wire [127:0]      aes_rsp_block;
    wire              ku_aes_valid, cu_aes_valid;
    wire [127:0]      ku_aes_block, cu_aes_block;

    // ------------------------------------------------------------------------------------
    // Keys
    // ------------------------------------------------------------------------------------
    assign key_ready = ku_key_ready && key_enable;

    key_unit #(
        .KEY_W (KEY_W),
        .LANES (LANES)
    ) u_keys (
        .clk           (clk),
        .rst           (rst),
        .key_valid     (key_valid && key_enable),
        .key_ready     (ku_key_ready),
        .key_data      (key_data),
        .zeroize       (ku_zeroize),
        .no_key        (ku_no_key),
        .setup         (ku_setup),
        .ready         (ku_ready),
        .key_refused   (key_refused),
        .fault         (ku_fault),
        .round_keys    (round_keys),
        .aes_req_valid (ku_aes_valid),
        .aes_req_ready (aes_req_ready),
        .aes_req_block (ku_aes_block),
        .aes_rsp_valid (aes_rsp_valid),
        .aes_rsp_block (aes_rsp_block),
        .h             (h),
        .hinv1         (hinv1),
        .hinv2         (hinv2),
        .hinv3         (hinv3),
        .g             (g),
        .tbl_we        (tbl_we),
        .tbl_sel       (tbl_sel),
        .tbl_addr      (tbl_addr),
        .tbl_data      (tbl_data),
        .op_valid      (op_valid),
        .op_ready      (op_ready),
        .op_kind       (op_kind),
        .op_a          (op_a),
        .op_b          (op_b),
        .op_e          (op_e),
        .op_done       (op_done),
        .op_p          (op_p)
    );

    engine_ctrl #(
        .KS_WORDS (KS_WORDS)
    ) u_ctrl (
        .clk          (clk),
        .rst          (rst),
        .zeroize      (zeroize_all),
        .fatal_set    ({cu_fatal, wm_fault, aw_fault, ku_fault}),
        .access_fault (rd_fault || wr_fault),
        .window_fail  (window_fail),
        .ku_no_key    (ku_no_key),
        .ku_ready     (ku_ready),
        .any_busy     (any_busy),
        .state        (engine_state),
        .engine_ready (engine_ready),
        .key_enable   (key_enable),
        .fatal_now    (fatal_now),
        .fatal_event  (fatal_event),
        .alert_recov  (alert_recov),
        .alert_fatal  (alert_fatal),
        .ku_zeroize   (ku_zeroize),
        .wipe_all     (wipe_all),
        .wipe_keyed   (wipe_keyed),
        .ks_wipe      (ks_wipe),
        .ks_wipe_addr (ks_wipe_addr)
    );

    // ------------------------------------------------------------------------------------
    // Registers and commands
    // ------------------------------------------------------------------------------------
    wire              cmd_valid, cmd_busy, cmd_done, window_fail;
    wire [3:0]        cmd_opcode, cmd_done_opcode;
    wire [7:0]        cmd_slot, cmd_done_slot, cmd_done_result;
    wire [63:0]       cmd_base, cmd_nbytes;
    wire              rd_fault, rd_fault_slot_hit, wr_fault, wr_fault_slot_hit;
    wire [3:0]        rd_fault_cause, wr_fault_cause;
    wire [ADDR_W-1:0] rd_fault_addr, wr_fault_addr;
    wire [SLOT_W-1:0] rd_fault_slot, wr_fault_slot;
    wire [7:0]        slot_sel;
    wire [3:0]        view_state;
    wire [7:0]        view_result;
    wire [ADDR_W-7:0] view_line;
    wire [36:0]       view_nbytes;
    wire [27:0]       view_id;
    wire [63:0]       view_version;
    wire [31:0]       view_count;

    axil_csr #(
        .SLOTS  (SLOTS),
        .ADDR_W (ADDR_W),
        .LANES  (LANES),
        .KEY_W  (KEY_W)
    ) u_csr (
        .clk               (clk),
        .rst               (rst),
        .s_axil_awaddr     (s_axil_awaddr),
        .s_axil_awprot     (s_axil_awprot),
        .s_axil_awvalid    (s_axil_awvalid),
        .s_axil_awready    (s_axil_awready),
        .s_axil_wdata      (s_axil_wdata),
        .s_axil_wstrb      (s_axil_wstrb),
        .s_axil_wvalid     (s_axil_wvalid),
        .s_axil_wready     (s_axil_wready),
        .s_axil_bresp      (s_axil_bresp),
        .s_axil_bvalid     (s_axil_bvalid),
        .s_axil_bready     (s_axil_bready),
        .s_axil_araddr     (s_axil_araddr),
        .s_axil_arprot     (s_axil_arprot),
        .s_axil_arvalid    (s_axil_arvalid),
        .s_axil_arready    (s_axil_arready),
        .s_axil_rdata      (s_axil_rdata),
        .s_axil_rresp      (s_axil_rresp),
        .s_axil_rvalid     (s_axil_rvalid),
        .s_axil_rready     (s_axil_rready),
        .engine_state      (engine_state),
        .key_refused       (key_refused),
        .cmd_busy          (cmd_busy),
        .cmd_valid         (cmd_valid),
        .cmd_opcode        (cmd_opcode),
        .cmd_slot          (cmd_slot),
        .cmd_base          (cmd_base),
        .cmd_nbytes        (cmd_nbytes),
        .cmd_done          (cmd_done),
        .cmd_done_opcode   (cmd_done_opcode),
        .cmd_done_slot     (cmd_done_slot),
        .cmd_done_result   (cmd_done_result),
        .rd_fault          (rd_fault),
        .rd_fault_cause    (rd_fault_cause),
        .rd_fault_addr     (rd_fault_addr),
        .rd_fault_slot_hit (rd_fault_slot_hit),
        .rd_fault_slot     ({{8-SLOT_W{1'b0}}, rd_fault_slot}),
        .wr_fault          (wr_fault),
        .wr_fault_cause    (wr_fault_cause),
        .wr_fault_addr     (wr_fault_addr),
        .wr_fault_slot_hit (wr_fault_slot_hit),
        .wr_fault_slot     ({{8-SLOT_W{1'b0}}, wr_fault_slot}),
        .window_fail       (window_fail),
        .fatal_event       (fatal_event),
        .slot_sel          (slot_sel),
        .view_state        (view_state),
        .view_result       (view_result),
        .view_base         ({{64-ADDR_W{1'b0}}, view_line, 6'd0}),
        .view_nbytes       ({27'd0, view_nbytes}),
        .view_id           (view_id),
        .view_version      (view_version),
        .view_count        (view_count),
        .irq               (irq)
    );

    wire              lock;
    wire [SLOT_W-1:0] cu_slot;
    wire [3:0]        cu_state;
    wire [30:0]       cu_lines;
    wire [36:0]       cu_nbytes;
    wire [95:0]       cu_iv;
    wire [127:0]      cu_tag, cu_h_top, cu_g_end;
    wire              cu_busy;
    wire [ADDR_W-6:0] probe_first, probe_end;
    wire              probe_overlap;
    wire              define, bump, seal, set_state, set_result, erase;
    wire [ADDR_W-7:0] define_line;
    wire [36:0]       define_nbytes;
    wire [30:0]       define_lines;
    wire [31:0]       define_iv_hi;
    wire [127:0]      define_h_top, define_g_end, seal_tag;
    wire [3:0]        set_state_to;
    wire [7:0]        set_result_to;
    wire              vf_clear, vf_error;
    wire [127:0]      vf_hash, vf_cov;
    wire [31:0]       vf_count;
    wire              wm_clear, wm_clear_ready, wm_clear_done;

    command_unit #(
        .ADDR_W    (ADDR_W),
        .SLOTS     (SLOTS),
        .SLOT_W    (SLOT_W),
        .VERSION_W (VERSION_W),
        .OWNER     (OWNER)
    ) u_commands (
        .clk            (clk),
        .rst            (rst),
        .cmd_valid      (cmd_valid),
        .cmd_opcode     (cmd_opcode),
        .cmd_slot       (cmd_slot),
        .cmd_base       (cmd_base),
        .cmd_nbytes     (cmd_nbytes),
        .busy           (cmd_busy),
        .done           (cmd_done),
        .done_opcode    (cmd_done_opcode),
        .done_slot      (cmd_done_slot),
        .done_result    (cmd_done_result),
        .window_fail    (window_fail),
        .engine_state   (engine_state),
        .zeroize_pin    (zeroize),
        .zeroize        (zeroize_all),
        .fatal          (fatal_now),
        .fatal_set      (cu_fatal),
        .lock           (lock),
        .slot           (cu_slot),
        .tt_state       (cu_state),
        .tt_lines       (cu_lines),
        .tt_nbytes      (cu_nbytes),
        .tt_iv          (cu_iv),
        .tt_tag         (cu_tag),
        .tt_h_top       (cu_h_top),
        .tt_g_end       (cu_g_end),
        .tt_busy        (cu_busy),
        .probe_first    (probe_first),
        .probe_end      (probe_end),
        .probe_overlap  (probe_overlap),
        .define         (define),
        .define_line    (define_line),
        .define_nbytes  (define_nbytes),
        .define_lines   (define_lines),
        .define_iv_hi   (define_iv_hi),
        .define_h_top   (define_h_top),
        .define_g_end   (define_g_end),
        .bump           (bump),
        .seal           (seal),
        .seal_tag       (seal_tag),
        .set_state      (set_state),
        .set_state_to   (set_state_to),
        .set_result     (set_result),
        .set_result_to  (set_result_to),
        .erase          (erase),
        .vf_clear       (vf_clear),
        .vf_hash        (vf_hash),
        .vf_cov         (vf_cov),
        .vf_count       (vf_count),
        .vf_error       (vf_error),
        .wm_clear       (wm_clear),
        .wm_clear_ready (wm_clear_ready),
        .wm_clear_done  (wm_clear_done),
        .h              (h),
        .g              (g),
        .op_valid       (op_valid),
        .op_ready       (op_ready),
        .op_kind        (op_kind),
        .op_a           (op_a),
        .op_b           (op_b),
        .op_e           (op_e),
        .op_done        (op_done),
        .op_p           (op_p),
        .aes_req_valid  (cu_aes_valid),
        .aes_req_ready  (aes_req_ready),
        .aes_req_block  (cu_aes_block),
        .aes_rsp_valid  (aes_rsp_valid),
        .aes_rsp_block  (aes_rsp_block)
    );

    // ------------------------------------------------------------------------------------
    // Tensors
    // ------------------------------------------------------------------------------------
    wire [ADDR_W-7:0] rd_line, wr_line;
    wire              rd_hit, rd_open, rd_inc, rd_taken, rd_delivered, wr_hit, wr_open, wr_inc, wr_dec;
    wire [SLOT_W-1:0] rd_slot, rd_taken_slot, rd_delivered_slot, rd_iv_slot, wr_slot, wr_dec_slot, wr_iv_slot;
    wire [29:0]       rd_index, wr_index;
    wire [30:0]       rd_lines, wr_lines;
    wire [36:0]       rd_nbytes, wr_nbytes;
    wire [95:0]       rd_iv, wr_iv;

    tensor_table #(
        .ADDR_W (ADDR_W),
        .SLOTS  (SLOTS),
        .SLOT_W (SLOT_W)
    ) u_table (
        .clk               (clk),
        .rst               (rst),
        .rd_line           (rd_line),
        .rd_hit            (rd_hit),
        .rd_slot           (rd_slot),
        .rd_open           (rd_open),
        .rd_index          (rd_index),
        .rd_lines          (rd_lines),
        .rd_nbytes         (rd_nbytes),
        .rd_inc            (rd_inc),
        .rd_taken          (rd_taken),
        .rd_taken_slot     (rd_taken_slot),
        .rd_delivered      (rd_delivered),
        .rd_delivered_slot (rd_delivered_slot),
        .rd_iv_slot        (rd_iv_slot),
        .rd_iv             (rd_iv),
        .wr_line           (wr_line),
        .wr_hit            (wr_hit),
        .wr_slot           (wr_slot),
        .wr_open           (wr_open),
        .wr_index          (wr_index),
        .wr_lines          (wr_lines),
        .wr_nbytes         (wr_nbytes),
        .wr_inc            (wr_inc),
        .wr_dec            (wr_dec),
        .wr_dec_slot       (wr_dec_slot),
        .wr_iv_slot        (wr_iv_slot),
        .wr_iv             (wr_iv),
        .probe_first       (probe_first),
        .probe_end         (probe_end),
        .probe_overlap     (probe_overlap),
        .lock              (lock),
        .lock_slot         (cu_slot),
        .cmd_slot          (cu_slot),
        .cmd_state         (cu_state),
        .cmd_lines         (cu_lines),
        .cmd_nbytes        (cu_nbytes),
        .cmd_iv            (cu_iv),
        .cmd_tag           (cu_tag),
        .cmd_h_top         (cu_h_top),
        .cmd_g_end         (cu_g_end),
        .cmd_busy          (cu_busy),
        .any_busy          (any_busy),
        .define            (define),
        .define_line       (define_line),
        .define_nbytes     (define_nbytes),
        .define_lines      (define_lines),
        .define_iv_hi      (define_iv_hi),
        .define_h_top      (define_h_top),
        .define_g_end      (define_g_end),
        .bump              (bump),
        .seal              (seal),
        .seal_tag          (seal_tag),
        .set_state         (set_state),
        .set_state_to      (set_state_to),
        .set_result        (set_result),
        .set_result_to     (set_result_to),
        .erase             (erase),
        .wipe_keyed        (wipe_keyed),
        .wipe_all          (wipe_all),
        .view_slot         (slot_sel[SLOT_W-1:0]),
        .view_state        (view_state),
        .view_result       (view_result),
        .view_line         (view_line),
        .view_nbytes       (view_nbytes),
        .view_id           (view_id),
        .view_version      (view_version)
    );

    wire              wm_valid, wm_ready, wm_rsp_valid;
    wire [SLOT_W-1:0] wm_slot;
    wire [29:0]       wm_line;
    wire [6:0]        wm_count;
    wire [3:0]        wm_rsp_cause;

    write_map #(
        .SLOTS     (SLOTS),
        .SLOT_W    (SLOT_W),
        .MAP_WORDS (MAP_WORDS)
    ) u_map (
        .clk         (clk),
        .rst         (rst),
        .check_valid (wm_valid),
        .check_ready (wm_ready),
        .check_slot  (wm_slot),
        .check_line  (wm_line),
        .check_count (wm_count),
        .rsp_valid   (wm_rsp_valid),
        .rsp_cause   (wm_rsp_cause),
        .clear_valid (wm_clear),
        .clear_ready (wm_clear_ready),
        .clear_slot  (cu_slot),
        .clear_lines (cu_lines),
        .clear_done  (wm_clear_done),
        .fault       (wm_fault)
    );

    // ------------------------------------------------------------------------------------
    // Powers of H for both directions
    // ------------------------------------------------------------------------------------
    wire             rd_pw_valid, rd_pw_ready, wr_pw_valid, wr_pw_ready, pw_rsp_valid, pw_rsp_is_wr;
    wire [29:0]      rd_pw_line, wr_pw_line;
    wire [RTW-1:0]   rd_pw_txn;
    wire [WTW-1:0]   wr_pw_txn;
    wire [TAG_W-1:0] rd_pw_tag, wr_pw_tag, pw_rsp_tag;
    wire [127:0]     pw_rsp_q;

    assign rd_pw_tag = {{TAG_W-RTW{1'b0}}, rd_pw_txn};
    assign wr_pw_tag = {{TAG_W-WTW{1'b0}}, wr_pw_txn};

    power_ring #(
        .TAG_W (TAG_W)
    ) u_powers (
        .clk          (clk),
        .rst          (rst),
        .tbl_we       (tbl_we),
        .tbl_sel      (tbl_sel),
        .tbl_addr     (tbl_addr),
        .tbl_data     (tbl_data),
        .rd_req_valid (rd_pw_valid),
        .rd_req_ready (rd_pw_ready),
        .rd_req_line  (rd_pw_line),
        .rd_req_tag   (rd_pw_tag),
        .wr_req_valid (wr_pw_valid),
        .wr_req_ready (wr_pw_ready),
        .wr_req_line  (wr_pw_line),
        .wr_req_tag   (wr_pw_tag),
        .rsp_valid    (pw_rsp_valid),
        .rsp_is_wr    (pw_rsp_is_wr),
        .rsp_tag      (pw_rsp_tag),
        .rsp_q        (pw_rsp_q)
    );

    // ------------------------------------------------------------------------------------
    // Read direction
    // ------------------------------------------------------------------------------------
    wire               rd_ks_start, rd_ks_pop;
    wire [RTW-1:0]     rd_ks_txn, rd_ks_pop_txn;
    wire [SLOT_W-1:0]  rd_ks_slot;
    wire [31:0]        rd_ks_ctr;
    wire [8:0]         rd_ks_beats;
    wire [RD_TXNS-1:0] rd_ks_avail;
    wire [RD_TXNS*RD_TXNS-1:0] rd_ks_older;
    wire [DATA_W-1:0]  rd_ks_data;
    wire               rd_lh_valid, rd_lh_first, rd_lh_last, rd_mem_error;
    wire [DATA_W-1:0]  rd_lh_beat;
    wire [SLOT_W-1:0]  rd_lh_slot, rd_mem_error_slot;
    wire [RTW-1:0]     rd_lh_txn;
    wire [127:0]       rd_lh_q;
    wire [7:0]         rd_lh_t;

    read_path #(
        .DATA_W (DATA_W),
        .ADDR_W (ADDR_W),
        .ID_W   (ID_W),
        .TXNS   (RD_TXNS),
        .SLOT_W (SLOT_W)
    ) u_read (
        .clk               (clk),
        .rst               (rst),
        .engine_ready      (engine_ready),
        .s_arid            (s_axi_arid),
        .s_araddr          (s_axi_araddr),
        .s_arlen           (s_axi_arlen),
        .s_arsize          (s_axi_arsize),
        .s_arburst         (s_axi_arburst),
        .s_arattr          ({s_axi_arqos, s_axi_arprot, s_axi_arcache}),
        .s_arvalid         (s_axi_arvalid),
        .s_arready         (s_axi_arready),
        .s_rid             (s_axi_rid),
        .s_rdata           (s_axi_rdata),
        .s_rresp           (s_axi_rresp),
        .s_rlast           (s_axi_rlast),
        .s_rvalid          (s_axi_rvalid),
        .s_rready          (s_axi_rready),
        .m_arid            (m_axi_arid),
        .m_araddr          (m_axi_araddr),
        .m_arlen           (m_axi_arlen),
        .m_arattr          ({m_axi_arqos, m_axi_arprot, m_axi_arcache}),
        .m_arvalid         (m_axi_arvalid),
        .m_arready         (m_axi_arready),
        .m_rid             (m_axi_rid),
        .m_rdata           (m_axi_rdata),
        .m_rresp           (m_axi_rresp),
        .m_rvalid          (m_axi_rvalid),
        .m_rready          (m_axi_rready),
        .tt_line           (rd_line),
        .tt_hit            (rd_hit),
        .tt_slot           (rd_slot),
        .tt_open           (rd_open),
        .tt_index          (rd_index),
        .tt_lines          (rd_lines),
        .tt_nbytes         (rd_nbytes),
        .tt_inc            (rd_inc),
        .tt_taken          (rd_taken),
        .tt_taken_slot     (rd_taken_slot),
        .tt_delivered      (rd_delivered),
        .tt_delivered_slot (rd_delivered_slot),
        .ks_start          (rd_ks_start),
        .ks_older          (rd_ks_older),
        .ks_txn            (rd_ks_txn),
        .ks_slot           (rd_ks_slot),
        .ks_ctr            (rd_ks_ctr),
        .ks_beats          (rd_ks_beats),
        .ks_pop            (rd_ks_pop),
        .ks_pop_txn        (rd_ks_pop_txn),
        .ks_avail          (rd_ks_avail),
        .ks_data           (rd_ks_data),
        .pw_valid          (rd_pw_valid),
        .pw_ready          (rd_pw_ready),
        .pw_line           (rd_pw_line),
        .pw_txn            (rd_pw_txn),
        .pw_rsp_valid      (pw_rsp_valid && !pw_rsp_is_wr),
        .pw_rsp_txn        (pw_rsp_tag[RTW-1:0]),
        .pw_rsp_q          (pw_rsp_q),
        .lh_valid          (rd_lh_valid),
        .lh_beat           (rd_lh_beat),
        .lh_slot           (rd_lh_slot),
        .lh_txn            (rd_lh_txn),
        .lh_q              (rd_lh_q),
        .lh_t              (rd_lh_t),
        .lh_line_first     (rd_lh_first),
        .lh_line_last      (rd_lh_last),
        .mem_error         (rd_mem_error),
        .mem_error_slot    (rd_mem_error_slot),
        .fault             (rd_fault),
        .fault_cause       (rd_fault_cause),
        .fault_addr        (rd_fault_addr),
        .fault_slot_hit    (rd_fault_slot_hit),
        .fault_slot        (rd_fault_slot)
    );

    assign m_axi_arsize  = SIZE[2:0];
    assign m_axi_arburst = 2'b01;
    assign m_axi_arlock  = 1'b0;

    keystream_gen #(
        .KEY_W    (KEY_W),
        .LANES    (LANES),
        .TXNS     (RD_TXNS),
        .KS_DEPTH (KS_DEPTH),
        .SLOT_W   (SLOT_W)
    ) u_rd_keystream (
        .clk           (clk),
        .rst           (rst),
        .round_keys    (round_keys),
        .start         (rd_ks_start),
        .start_txn     (rd_ks_txn),
        .start_slot    (rd_ks_slot),
        .start_ctr     (rd_ks_ctr),
        .start_beats   (rd_ks_beats),
        .older         (rd_ks_older),
        .iv_slot       (rd_iv_slot),
        .iv            (rd_iv),
        .pop           (rd_ks_pop),
        .pop_txn       (rd_ks_pop_txn),
        .avail         (rd_ks_avail),
        .pop_data      (rd_ks_data),
        .aes_req_valid ({cu_aes_valid, ku_aes_valid}),
        .aes_req_ready (aes_req_ready),
        .aes_req_block ({cu_aes_block, ku_aes_block}),
        .aes_rsp_valid (aes_rsp_valid),
        .aes_rsp_block (aes_rsp_block),
        .wipe          (ks_wipe),
        .wipe_addr     (ks_wipe_addr[RKA_W-1:0])
    );

    wire              rd_add_valid, rd_add_last;
    wire [SLOT_W-1:0] rd_add_slot;
    wire [127:0]      rd_add, rd_add_cov;

    line_hash #(
        .LANES  (LANES),
        .SLOT_W (SLOT_W)
    ) u_rd_hash (
        .clk           (clk),
        .rst           (rst),
        .hinv1         (hinv1),
        .hinv2         (hinv2),
        .hinv3         (hinv3),
        .tbl_we        (tbl_we),
        .tbl_sel       (tbl_sel),
        .tbl_addr      (tbl_addr),
        .tbl_data      (tbl_data),
        .in_valid      (rd_lh_valid),
        .in_beat       (rd_lh_beat),
        .in_slot       (rd_lh_slot),
        .in_q          (rd_lh_q),
        .in_t          (rd_lh_t),
        .in_line_first (rd_lh_first),
        .in_line_last  (rd_lh_last),
        .out_valid     (rd_add_valid),
        .out_slot      (rd_add_slot),
        .out_add       (rd_add),
        .out_cov       (rd_add_cov),
        .out_line_last (rd_add_last)
    );

`ifndef SYNTHESIS
    window_check #(
        .SLOTS  (SLOTS),
        .SLOT_W (SLOT_W),
        .TXNS   (RD_TXNS)
    ) u_rd_window (
        .clk         (clk),
        .rst         (rst),
        .enable      (engine_ready),
        .change      (set_state || erase),
        .change_slot (cu_slot),
        .inc         (rd_inc),
        .slot        (rd_slot),
        .start       (rd_ks_start),
        .txn         (rd_ks_txn),
        .lh_valid    (rd_lh_valid),
        .lh_slot     (rd_lh_slot),
        .lh_txn      (rd_lh_txn)
    );
`endif

    // ------------------------------------------------------------------------------------
    // Write direction
    // ------------------------------------------------------------------------------------
    wire               wr_ks_start, wr_ks_pop;
    wire [WTW-1:0]     wr_ks_txn, wr_ks_pop_txn;
    wire [SLOT_W-1:0]  wr_ks_slot;
    wire [31:0]        wr_ks_ctr;
    wire [8:0]         wr_ks_beats;
    wire [WR_TXNS-1:0] wr_ks_avail;
    wire [WR_TXNS*WR_TXNS-1:0] wr_ks_older;
    wire [DATA_W-1:0]  wr_ks_data;
    wire               wr_lh_valid, wr_lh_first, wr_lh_last, wr_mem_error;
    wire [DATA_W-1:0]  wr_lh_beat;
    wire [SLOT_W-1:0]  wr_lh_slot, wr_mem_error_slot;
    wire [WTW-1:0]     wr_lh_txn;
    wire [127:0]       wr_lh_q;
    wire [7:0]         wr_lh_t;

    write_path #(
        .DATA_W (DATA_W),
        .ADDR_W (ADDR_W),
        .ID_W   (ID_W),
        .TXNS   (WR_TXNS),
        .SLOT_W (SLOT_W)
    ) u_write (
        .clk            (clk),
        .rst            (rst),
        .engine_ready   (engine_ready),
        .s_awid         (s_axi_awid),
        .s_awaddr       (s_axi_awaddr),
        .s_awlen        (s_axi_awlen),
        .s_awsize       (s_axi_awsize),
        .s_awburst      (s_axi_awburst),
        .s_awattr       ({s_axi_awqos, s_axi_awprot, s_axi_awcache}),
        .s_awvalid      (s_axi_awvalid),
        .s_awready      (s_axi_awready),
        .s_wdata        (s_axi_wdata),
        .s_wstrb        (s_axi_wstrb),
        .s_wvalid       (s_axi_wvalid),
        .s_wready       (s_axi_wready),
        .s_bid          (s_axi_bid),
        .s_bresp        (s_axi_bresp),
        .s_bvalid       (s_axi_bvalid),
        .s_bready       (s_axi_bready),
        .m_awid         (m_axi_awid),
        .m_awaddr       (m_axi_awaddr),
        .m_awlen        (m_axi_awlen),
        .m_awattr       ({m_axi_awqos, m_axi_awprot, m_axi_awcache}),
        .m_awvalid      (m_axi_awvalid),
        .m_awready      (m_axi_awready),
        .m_wdata        (m_axi_wdata),
        .m_wstrb        (m_axi_wstrb),
        .m_wlast        (m_axi_wlast),
        .m_wvalid       (m_axi_wvalid),
        .m_wready       (m_axi_wready),
        .m_bid          (m_axi_bid),
        .m_bresp        (m_axi_bresp),
        .m_bvalid       (m_axi_bvalid),
        .m_bready       (m_axi_bready),
        .tt_line        (wr_line),
        .tt_hit         (wr_hit),
        .tt_slot        (wr_slot),
        .tt_open        (wr_open),
        .tt_index       (wr_index),
        .tt_lines       (wr_lines),
        .tt_nbytes      (wr_nbytes),
        .tt_inc         (wr_inc),
        .tt_dec         (wr_dec),
        .tt_dec_slot    (wr_dec_slot),
        .wm_valid       (wm_valid),
        .wm_ready       (wm_ready),
        .wm_slot        (wm_slot),
        .wm_line        (wm_line),
        .wm_count       (wm_count),
        .wm_rsp_valid   (wm_rsp_valid),
        .wm_rsp_cause   (wm_rsp_cause),
        .ks_start       (wr_ks_start),
        .ks_older       (wr_ks_older),
        .ks_txn         (wr_ks_txn),
        .ks_slot        (wr_ks_slot),
        .ks_ctr         (wr_ks_ctr),
        .ks_beats       (wr_ks_beats),
        .ks_pop         (wr_ks_pop),
        .ks_pop_txn     (wr_ks_pop_txn),
        .ks_avail       (wr_ks_avail),
        .ks_data        (wr_ks_data),
        .pw_valid       (wr_pw_valid),
        .pw_ready       (wr_pw_ready),
        .pw_line        (wr_pw_line),
        .pw_txn         (wr_pw_txn),
        .pw_rsp_valid   (pw_rsp_valid && pw_rsp_is_wr),
        .pw_rsp_txn     (pw_rsp_tag[WTW-1:0]),
        .pw_rsp_q       (pw_rsp_q),
        .lh_valid       (wr_lh_valid),
        .lh_beat        (wr_lh_beat),
        .lh_slot        (wr_lh_slot),
        .lh_txn         (wr_lh_txn),
        .lh_q           (wr_lh_q),
        .lh_t           (wr_lh_t),
        .lh_line_first  (wr_lh_first),
        .lh_line_last   (wr_lh_last),
        .mem_error      (wr_mem_error),
        .mem_error_slot (wr_mem_error_slot),
        .fsm_fault      (aw_fault),
        .fault          (wr_fault),
        .fault_cause    (wr_fault_cause),
        .fault_addr     (wr_fault_addr),
        .fault_slot_hit (wr_fault_slot_hit),
        .fault_slot     (wr_fault_slot)
    );

    assign m_axi_awsize  = SIZE[2:0];
    assign m_axi_awburst = 2'b01;
    assign m_axi_awlock  = 1'b0;

    wire         unused_wr_aes_ready, unused_wr_aes_valid;
    wire [127:0] unused_wr_aes_block;

    keystream_gen #(
        .KEY_W    (KEY_W),
        .LANES    (LANES),
        .TXNS     (WR_TXNS),
        .KS_DEPTH (KS_DEPTH),
        .SLOT_W   (SLOT_W)
    ) u_wr_keystream (
        .clk           (clk),
        .rst           (rst),
        .round_keys    (round_keys),
        .start         (wr_ks_start),
        .start_txn     (wr_ks_txn),
        .start_slot    (wr_ks_slot),
        .start_ctr     (wr_ks_ctr),
        .start_beats   (wr_ks_beats),
        .older         (wr_ks_older),
        .iv_slot       (wr_iv_slot),
        .iv            (wr_iv),
        .pop           (wr_ks_pop),
        .pop_txn       (wr_ks_pop_txn),
        .avail         (wr_ks_avail),
        .pop_data      (wr_ks_data),
        .aes_req_valid (2'd0),
        .aes_req_ready (unused_wr_aes_ready),
        .aes_req_block (256'd0),
        .aes_rsp_valid (unused_wr_aes_valid),
        .aes_rsp_block (unused_wr_aes_block),
        .wipe          (ks_wipe),
        .wipe_addr     (ks_wipe_addr[WKA_W-1:0])
    );

    wire              wr_add_valid, wr_add_last;
    wire [SLOT_W-1:0] wr_add_slot;
    wire [127:0]      wr_add, wr_add_cov;

    line_hash #(
        .LANES  (LANES),
        .SLOT_W (SLOT_W)
    ) u_wr_hash (
        .clk           (clk),
        .rst           (rst),
        .hinv1         (hinv1),
        .hinv2         (hinv2),
        .hinv3         (hinv3),
        .tbl_we        (tbl_we),
        .tbl_sel       (tbl_sel),
        .tbl_addr      (tbl_addr),
        .tbl_data      (tbl_data),
        .in_valid      (wr_lh_valid),
        .in_beat       (wr_lh_beat),
        .in_slot       (wr_lh_slot),
        .in_q          (wr_lh_q),
        .in_t          (wr_lh_t),
        .in_line_first (wr_lh_first),
        .in_line_last  (wr_lh_last),
        .out_valid     (wr_add_valid),
        .out_slot      (wr_add_slot),
        .out_add       (wr_add),
        .out_cov       (wr_add_cov),
        .out_line_last (wr_add_last)
    );

`ifndef SYNTHESIS
    window_check #(
        .SLOTS  (SLOTS),
        .SLOT_W (SLOT_W),
        .TXNS   (WR_TXNS)
    ) u_wr_window (
        .clk         (clk),
        .rst         (rst),
        .enable      (engine_ready),
        .change      (set_state || erase),
        .change_slot (cu_slot),
        .inc         (wr_inc),
        .slot        (wr_slot),
        .start       (wr_ks_start),
        .txn         (wr_ks_txn),
        .lh_valid    (wr_lh_valid),
        .lh_slot     (wr_lh_slot),
        .lh_txn      (wr_lh_txn)
    );
`endif

    verifier #(
        .SLOTS  (SLOTS),
        .SLOT_W (SLOT_W)
    ) u_verifier (
        .clk           (clk),
        .rst           (rst),
        .enable        (engine_ready),
        .rd_valid      (rd_add_valid),
        .rd_slot       (rd_add_slot),
        .rd_add        (rd_add),
        .rd_cov        (rd_add_cov),
        .rd_line_last  (rd_add_last),
        .rd_error      (rd_mem_error),
        .rd_error_slot (rd_mem_error_slot),
        .wr_valid      (wr_add_valid),
        .wr_slot       (wr_add_slot),
        .wr_add        (wr_add),
        .wr_cov        (wr_add_cov),
        .wr_line_last  (wr_add_last),
        .wr_error      (wr_mem_error),
        .wr_error_slot (wr_mem_error_slot),
        .clear         (vf_clear),
        .clear_slot    (cu_slot),
        .clear_all     (wipe_all),
        .clear_keyed   (wipe_keyed),
        .sel_slot      (cu_slot),
        .sel_hash      (vf_hash),
        .sel_cov       (vf_cov),
        .sel_count     (vf_count),
        .sel_error     (vf_error),
        .view_slot     (slot_sel[SLOT_W-1:0]),
        .view_count    (view_count)
    );

    // Not used: the engine counts beats itself and answers exclusive accesses as plain ones.
    wire _unused = &{1'b0, s_axi_awlock, s_axi_arlock, s_axi_wlast, m_axi_rlast, ku_setup, ks_wipe_addr, pw_rsp_tag,
                     rd_lh_txn, wr_lh_txn, unused_wr_aes_ready, unused_wr_aes_valid, unused_wr_aes_block, slot_sel};

endmodule

`resetall
