// SPDX-License-Identifier: Apache-2.0
//
// write_path: AXI4 writes of the NPU. Checks each burst, encrypts whole lines and passes them
// to the memory; each line also goes to the verifier.
//
// A burst that passes the checks goes to the memory as it is. Its data waits for nothing but
// its keystream, which is requested with the address, so that the next burst's keystream is
// made while this one's data flows. A line is held until its strobes are known: a line with a
// strobe missing goes out with all strobes low and zero data (the memory keeps what it had),
// and is not counted. Data never waits for the memory to accept the address.
//
// Refused     a burst that fails a check does not reach the memory; its data is taken and
//             dropped, and it is answered in its turn.
// Last line   bytes past the tensor's end are written as zero, whatever their strobes.
// Byte order  bus order throughout: the byte at the lowest address is data[7:0].
// Handshake   every AXI channel has registered outputs and registered ready. W may come before
//             its AW: it waits.
// Latency     AW to AW: 2 cycles and write_map's check. W to W: one line and 3 cycles.
// Throughput  1 beat per cycle; one burst every 6 cycles.
//
// A burst is under way until the memory has answered it, which counts only once all of its
// data was sent.
//
// SEC_CM: DATA.BLOCKED - while the engine is not ready, lines go out with zero data and no strobes.
// SEC_CM: FSM.SAFE - states differ in at least two bits; one that does not exist refuses the burst and is a fatal error.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module write_path #(
    parameter DATA_W = 128,  // AXI data width in bits: 128, 256, 512
    parameter ADDR_W = 40,   // AXI address width in bits
    parameter ID_W   = 4,    // AXI ID width in bits
    parameter TXNS   = 4,    // outstanding bursts, power of two
    parameter SLOT_W = 4     // width of a slot number in bits
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    engine_ready,

    // NPU
    input  wire [ID_W-1:0]         s_awid,
    input  wire [ADDR_W-1:0]       s_awaddr,
    input  wire [7:0]              s_awlen,
    input  wire [2:0]              s_awsize,
    input  wire [1:0]              s_awburst,
    input  wire [10:0]             s_awattr,     // QoS, PROT, CACHE
    input  wire                    s_awvalid,
    output wire                    s_awready,
    input  wire [DATA_W-1:0]       s_wdata,
    input  wire [DATA_W/8-1:0]     s_wstrb,
    input  wire                    s_wvalid,
    output wire                    s_wready,
    output wire [ID_W-1:0]         s_bid,
    output wire [1:0]              s_bresp,
    output wire                    s_bvalid,
    input  wire                    s_bready,

    // Memory: INCR bursts of full width
    output wire [ID_W-1:0]         m_awid,
    output wire [ADDR_W-1:0]       m_awaddr,
    output wire [7:0]              m_awlen,
    output wire [10:0]             m_awattr,
    output wire                    m_awvalid,
    input  wire                    m_awready,
    output wire [DATA_W-1:0]       m_wdata,
    output wire [DATA_W/8-1:0]     m_wstrb,
    output wire                    m_wlast,
    output wire                    m_wvalid,
    input  wire                    m_wready,
    input  wire [ID_W-1:0]         m_bid,
    input  wire [1:0]              m_bresp,
    input  wire                    m_bvalid,
    output wire                    m_bready,

    // Tensor table
    output wire [ADDR_W-7:0]       tt_line,
    input  wire                    tt_hit,
    input  wire [SLOT_W-1:0]       tt_slot,
    input  wire                    tt_open,
    input  wire [29:0]             tt_index,
    input  wire [30:0]             tt_lines,
    input  wire [36:0]             tt_nbytes,
    output wire                    tt_inc,       // a burst of tt_slot is under way
    output wire                    tt_dec,       // a burst is over
    output wire [SLOT_W-1:0]       tt_dec_slot,

    // Write map
    output wire                    wm_valid,
    input  wire                    wm_ready,
    output wire [SLOT_W-1:0]       wm_slot,
    output wire [29:0]             wm_line,
    output wire [6:0]              wm_count,
    input  wire                    wm_rsp_valid,
    input  wire [3:0]              wm_rsp_cause,

    // Keystream
    output wire                    ks_start,
    output wire [TXNS*TXNS-1:0]    ks_older,     // age of the entries, see txn_table
    output wire [$clog2(TXNS)-1:0] ks_txn,
    output wire [SLOT_W-1:0]       ks_slot,
    output wire [31:0]             ks_ctr,
    output wire [8:0]              ks_beats,
    output wire                    ks_pop,
    output wire [$clog2(TXNS)-1:0] ks_pop_txn,
    input  wire [TXNS-1:0]         ks_avail,
    input  wire [DATA_W-1:0]       ks_data,

    // Power of H at which a burst starts
    output reg                     pw_valid,
    input  wire                    pw_ready,
    output reg  [29:0]             pw_line,
    output reg  [$clog2(TXNS)-1:0] pw_txn,
    input  wire                    pw_rsp_valid,
    input  wire [$clog2(TXNS)-1:0] pw_rsp_txn,
    input  wire [127:0]            pw_rsp_q,

    // Verifier
    output wire                    lh_valid,
    output wire [DATA_W-1:0]       lh_beat,
    output wire [SLOT_W-1:0]       lh_slot,
    output wire [$clog2(TXNS)-1:0] lh_txn,
    output wire [127:0]            lh_q,
    output wire [7:0]              lh_t,
    output wire                    lh_line_first,
    output wire                    lh_line_last,
    output wire                    mem_error,
    output wire [SLOT_W-1:0]       mem_error_slot,

    output wire                    fsm_fault,    // a state that does not exist

    // Fault reports
    output wire                    fault,
    output wire [3:0]              fault_cause,
    output wire [ADDR_W-1:0]       fault_addr,
    output wire                    fault_slot_hit,
    output wire [SLOT_W-1:0]       fault_slot
);

    localparam BYTES = DATA_W / 8;            // per beat
    localparam LB    = $clog2(BYTES);         // address bits inside a beat: 4, 5, 6
    localparam BPL   = 64 / BYTES;            // beats per line: 4, 2, 1
    localparam LSH   = 6 - LB;                // log2(BPL)
    localparam TW    = $clog2(TXNS);
    localparam FW    = 4 + ADDR_W + 1 + SLOT_W;
    localparam [12:0] BEAT_BYTES = BYTES[12:0];

    localparam [1:0] OKAY = 2'd0, SLVERR = 2'd2, DECERR = 2'd3;

    // ------------------------------------------------------------------------------------
    // AW: registered input
    // ------------------------------------------------------------------------------------
    wire              aw_valid, aw_pop;
    wire [ID_W-1:0]   aw_id;
    wire [ADDR_W-1:0] aw_addr;
    wire [7:0]        aw_len;
    wire [2:0]        aw_size;
    wire [1:0]        aw_burst;
    wire [10:0]       aw_attr;

    reg_slice #(
        .W (ID_W + ADDR_W + 24)
    ) u_s_aw (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (s_awvalid),
        .in_ready  (s_awready),
        .in_data   ({s_awid, s_awaddr, s_awlen, s_awsize, s_awburst, s_awattr}),
        .out_valid (aw_valid),
        .out_ready (aw_pop),
        .out_data  ({aw_id, aw_addr, aw_len, aw_size, aw_burst, aw_attr})
    );

    // ------------------------------------------------------------------------------------
    // AW: what the burst touches, and whether it may
    // ------------------------------------------------------------------------------------
    wire [3:0]  refusal;
    wire [5:0]  line, line_end;
    wire [12:0] room;
    wire        unused_wrap, unused_split;
    wire [11:0] unused_box;
    wire [5:0]  unused_wrap_first;

    burst_check #(
        .ADDR_W (ADDR_W),
        .LB     (LB),
        .WRITES (1)
    ) u_check (
        .engine_ready (engine_ready),
        .addr         (aw_addr),
        .len          (aw_len),
        .size         (aw_size),
        .burst        (aw_burst),
        .tt_line      (tt_line),
        .tt_hit       (tt_hit),
        .tt_open      (tt_open),
        .tt_index     (tt_index),
        .tt_lines     (tt_lines),
        .tt_nbytes    (tt_nbytes),
        .refusal      (refusal),
        .wrap         (unused_wrap),
        .wrap_box     (unused_box),
        .first        (line),
        .last         (line_end),
        .wrap_first   (unused_wrap_first),
        .split        (unused_split),
        .room         (room)
    );

    // ------------------------------------------------------------------------------------
    // AW: the write map decides last; meanwhile the burst counts as under way, so that the
    // slot cannot be closed between the check and the burst
    // ------------------------------------------------------------------------------------
    // Codes of even parity: one flipped bit never leads to another state.
    localparam [3:0] CHECK = 4'b0000;
    localparam [3:0] ASKED = 4'b0011;
    localparam [3:0] GRANT = 4'b0101;
    localparam [3:0] DENY  = 4'b0110;

    (* fsm_encoding = "none" *)
    reg  [3:0]        aw_fsm;
    reg  [3:0]        denial;
    reg  [SLOT_W-1:0] aw_slot;
    reg  [29:0]       aw_index;
    reg  [12:0]       aw_bytes;            // bytes of the tensor from here on, 4096 = many
    reg               aw_counted;          // in tt_inc
    reg               aw_hit;
    reg               undo_wait;           // a refused burst is still counted

    wire          txn_ok, m_aw_in_ready, aw_fault_ready;
    wire [TW-1:0] new_txn;

    assign wm_valid = (aw_fsm == CHECK) && aw_valid && (refusal == `TTEE_CAUSE_NONE);
    assign wm_slot  = tt_slot;
    assign wm_line  = tt_index;
    assign wm_count = {1'b0, line_end} - {1'b0, line} + 7'd1;
    assign tt_inc   = wm_valid && wm_ready;

    wire grant = (aw_fsm == GRANT) && txn_ok && m_aw_in_ready && (!pw_valid || pw_ready);
    wire deny_may = (aw_fsm == DENY) && aw_valid && txn_ok && !(aw_counted && undo_wait);
    wire deny  = deny_may && aw_fault_ready;
    wire undo  = deny && aw_counted;
    assign aw_pop = grant || deny;
    assign fsm_fault = !rst && (aw_fsm != CHECK) && (aw_fsm != ASKED) && (aw_fsm != GRANT) && (aw_fsm != DENY);

    always @(posedge clk) begin
        if (rst) begin
            aw_fsm     <= CHECK;
            denial     <= `TTEE_CAUSE_NONE;
            aw_slot    <= {SLOT_W{1'b0}};
            aw_index   <= 30'd0;
            aw_bytes   <= 13'd0;
            aw_counted <= 1'b0;
            aw_hit     <= 1'b0;
        end else case (aw_fsm)
            CHECK: if (aw_valid) begin
                aw_slot    <= tt_hit ? tt_slot : {SLOT_W{1'b0}};
                aw_hit     <= tt_hit;
                aw_index   <= tt_index;
                aw_bytes   <= room;
                denial     <= refusal;
                aw_counted <= tt_inc;
                if (refusal != `TTEE_CAUSE_NONE) aw_fsm <= DENY;
                else if (wm_ready)               aw_fsm <= ASKED;
            end
            ASKED: if (wm_rsp_valid) begin
                denial <= wm_rsp_cause;
                aw_fsm <= (wm_rsp_cause == `TTEE_CAUSE_NONE) ? GRANT : DENY;
            end
            GRANT: if (grant) begin
                aw_counted <= 1'b0;
                aw_fsm     <= CHECK;
            end
            DENY: if (deny) begin
                aw_counted <= 1'b0;
                aw_fsm     <= CHECK;
            end
            default: begin
                // The engine is FATAL from the next cycle on; a burst at hand is refused.
                denial <= `TTEE_CAUSE_NOT_READY;
                aw_fsm <= aw_valid ? DENY : CHECK;
            end
        endcase
    end

    reg_slice #(
        .W (ID_W + ADDR_W + 19)
    ) u_m_aw (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (grant),
        .in_ready  (m_aw_in_ready),
        .in_data   ({aw_id, aw_addr, aw_len, aw_attr}),
        .out_valid (m_awvalid),
        .out_ready (m_awready),
        .out_data  ({m_awid, m_awaddr, m_awlen, m_awattr})
    );

    assign ks_start = grant;
    assign ks_txn   = new_txn;
    assign ks_slot  = aw_slot;
    assign ks_beats = {1'b0, aw_len} + 9'd1;
    assign ks_ctr   = {aw_index, 2'd0} + 32'd2;

    always @(posedge clk) begin
        if (rst) begin
            pw_valid <= 1'b0;
            pw_line  <= 30'd0;
            pw_txn   <= {TW{1'b0}};
        end else if (grant) begin
            pw_valid <= 1'b1;
            pw_line  <= aw_index;
            pw_txn   <= new_txn;
        end else if (pw_ready) begin
            pw_valid <= 1'b0;
        end
    end

    // ------------------------------------------------------------------------------------
    // Context of each burst
    // ------------------------------------------------------------------------------------
    reg  [TXNS-1:0]   refused;
    reg  [1:0]        error   [0:TXNS-1];   // response of a refused burst, or of a dropped line
    reg  [SLOT_W-1:0] slot    [0:TXNS-1];
    reg  [ADDR_W-1:0] addr    [0:TXNS-1];
    reg  [8:0]        left    [0:TXNS-1];   // beats to be taken from the NPU
    reg  [7:0]        t       [0:TXNS-1];   // beats taken
    reg  [12:0]       bytes   [0:TXNS-1];   // bytes of the tensor from the next beat on, 4096 = many
    reg  [127:0]      q       [0:TXNS-1];   // Q of the burst's first line
    reg  [TXNS-1:0]   q_ok;
    reg  [TXNS-1:0]   taking;               // data of the burst is still to be taken
    reg  [TXNS-1:0]   sending;              // data of the burst is still to be sent

    // Data comes in the order of the addresses: entries wait in a queue, w_at is its head.
    reg  [TW-1:0]     order [0:TXNS-1];
    reg  [TW-1:0]     order_in, order_out;
    reg  [TW-1:0]     w_at;
    wire [TW-1:0]     order_next = order_out + 1'b1;

    // ------------------------------------------------------------------------------------
    // W: take a beat; its keystream arrives with it
    // ------------------------------------------------------------------------------------
    wire                w_valid, w_pop;
    wire [DATA_W-1:0]   w_data;
    wire [DATA_W/8-1:0] w_strb;

    // A beat that waits while the engine is not ready loses its strobes with its data: under the
    // next key its line is refused, not written as zero.
    skid_buffer #(
        .W    (DATA_W + DATA_W/8),
        .KEEP ({DATA_W + DATA_W/8{1'b0}})
    ) u_s_w (
        .clk       (clk),
        .rst       (rst),
        .blank     (!engine_ready),
        .in_valid  (s_wvalid),
        .in_ready  (s_wready),
        .in_data   ({s_wdata, s_wstrb}),
        .out_valid (w_valid),
        .out_ready (w_pop),
        .out_data  ({w_data, w_strb})
    );

    localparam FIFO = 4 * BPL;              // beats: four lines
    localparam QW   = $clog2(FIFO);

    reg  [QW:0] room_left;                  // beats that may still be taken
    wire        w_last = (left[w_at] == 9'd1);
    wire        w_drop = w_valid && taking[w_at] && refused[w_at];
    wire        take   = w_valid && taking[w_at] && !refused[w_at] && ks_avail[w_at] && q_ok[w_at]
                         && (room_left != {QW+1{1'b0}});

    assign w_pop      = take || w_drop;
    assign ks_pop     = take;
    assign ks_pop_txn = w_at;

    wire [LB:0] w_bytes = (bytes[w_at] >= BEAT_BYTES) ? BYTES[LB:0] : bytes[w_at][LB:0];

    function [BYTES-1:0] strobes;           // of the first n bytes
        input [LB:0] n;
        integer      j;
        begin
            for (j = 0; j < BYTES; j = j + 1)
                strobes[j] = (j[LB:0] < n);
        end
    endfunction

    function [DATA_W-1:0] widen;            // one mask bit per byte to one per bit
        input [BYTES-1:0] mask;
        integer           j;
        begin
            for (j = 0; j < BYTES; j = j + 1)
                widen[8*j +: 8] = {8{mask[j]}};
        end
    endfunction

    wire [BYTES-1:0] w_inside = strobes(w_bytes);

    wire w_line_last;
    generate
        if (BPL == 1) begin : g_line
            assign w_line_last = 1'b1;
        end else begin : g_line
            assign w_line_last = (t[w_at][LSH-1:0] == {LSH{1'b1}});
        end
    endgenerate

    reg               b_valid;
    reg  [DATA_W-1:0] b_data;
    reg  [BYTES-1:0]  b_inside;
    reg               b_ok;
    reg               b_line_last;
    reg               b_last;
    reg  [TW-1:0]     b_txn;
    reg  [5:0]        b_line;              // line number in the burst

    wire [7:0]        w_line_number = t[w_at] >> LSH;

    always @(posedge clk) begin
        if (rst) begin
            b_valid     <= 1'b0;
            b_data      <= {DATA_W{1'b0}};
            b_inside    <= {BYTES{1'b0}};
            b_ok        <= 1'b0;
            b_line_last <= 1'b0;
            b_last      <= 1'b0;
            b_txn       <= {TW{1'b0}};
            b_line      <= 6'd0;
        end else begin
            b_valid     <= take;
            b_data      <= (take && engine_ready) ? w_data : {DATA_W{1'b0}};
            b_inside    <= w_inside;
            b_ok        <= ((w_strb & w_inside) == w_inside);
            b_line_last <= w_line_last;
            b_last      <= w_last;
            b_txn       <= w_at;
            b_line      <= w_line_number[5:0];
        end
    end

    // ------------------------------------------------------------------------------------
    // Ciphertext waits for the verdict on its line
    // ------------------------------------------------------------------------------------
    reg  [DATA_W-1:0] fifo      [0:FIFO-1];
    reg               fifo_last [0:FIFO-1];  // last beat of the burst
    reg  [QW-1:0]     head, foot;
    reg               line_ok   [0:3];       // verdict of each line in the FIFO
    reg  [TW-1:0]     line_txn  [0:3];
    reg  [1:0]        line_head, line_foot;
    reg  [2:0]        lines_in;              // complete lines
    reg               so_far_ok;             // beats of the line before this one

    wire              b_line_ok  = b_ok && so_far_ok;
    wire              line_in    = b_valid && b_line_last;
    wire              m_w_in_ready;
    wire              send       = (lines_in != 3'd0) && m_w_in_ready;
    wire [TW-1:0]     send_txn   = line_txn[line_foot];
    wire              send_ok    = line_ok[line_foot] && engine_ready;
    wire              send_last  = fifo_last[foot];
    wire              line_out;
    wire [DATA_W-1:0] send_data  = fifo[foot] & {DATA_W{send_ok}};
    reg  [7:0]        send_t;                // beats of the burst sent
    wire              bad_line   = line_in && !b_line_ok;

    generate
        if (BPL == 1) begin : g_out
            assign line_out      = send;
            assign lh_line_first = 1'b1;
        end else begin : g_out
            assign line_out      = send && (send_t[LSH-1:0] == {LSH{1'b1}});
            assign lh_line_first = (send_t[LSH-1:0] == {LSH{1'b0}});
        end
    endgenerate

    integer entry;
    always @(posedge clk) begin
        if (rst) begin
            head      <= {QW{1'b0}};
            foot      <= {QW{1'b0}};
            line_head <= 2'd0;
            line_foot <= 2'd0;
            lines_in  <= 3'd0;
            so_far_ok <= 1'b1;
            send_t    <= 8'd0;
            room_left <= FIFO[QW:0];
            for (entry = 0; entry < FIFO; entry = entry + 1) begin
                fifo[entry]      <= {DATA_W{1'b0}};
                fifo_last[entry] <= 1'b0;
            end
            for (entry = 0; entry < 4; entry = entry + 1) begin
                line_ok[entry]  <= 1'b0;
                line_txn[entry] <= {TW{1'b0}};
            end
        end else begin
            if (b_valid) begin
                fifo[head]      <= (b_data ^ ks_data) & widen(b_inside) & {DATA_W{engine_ready}};
                fifo_last[head] <= b_last;
                head            <= head + 1'b1;
                so_far_ok       <= b_line_last ? 1'b1 : b_line_ok;
            end
            if (line_in) begin
                line_ok[line_head]  <= b_line_ok;
                line_txn[line_head] <= b_txn;
                line_head           <= line_head + 2'd1;
            end
            if (send) begin
                fifo[foot] <= {DATA_W{1'b0}};
                foot       <= foot + 1'b1;
                send_t     <= send_last ? 8'd0 : send_t + 8'd1;
            end
            if (line_out) line_foot <= line_foot + 2'd1;
            lines_in  <= lines_in + {2'd0, line_in} - {2'd0, line_out};
            room_left <= room_left + {{QW{1'b0}}, send} - {{QW{1'b0}}, take};
        end
    end

    reg_slice #(
        .W    (DATA_W + BYTES + 1),
        .KEEP ({{DATA_W{1'b0}}, {BYTES{1'b0}}, 1'b1})
    ) u_m_w (
        .clk       (clk),
        .rst       (rst),
        .blank     (!engine_ready),
        .in_valid  (send),
        .in_ready  (m_w_in_ready),
        .in_data   ({send_data, {BYTES{send_ok}}, send_last}),
        .out_valid (m_wvalid),
        .out_ready (m_wready),
        .out_data  ({m_wdata, m_wstrb, m_wlast})
    );

    assign lh_valid     = send && send_ok;
    assign lh_beat      = send_data;
    assign lh_slot      = slot[send_txn];
    assign lh_txn       = send_txn;
    assign lh_q         = q[send_txn];
    assign lh_t         = send_t;
    assign lh_line_last = line_out;

    // ------------------------------------------------------------------------------------
    // B
    // ------------------------------------------------------------------------------------
    wire              r_valid, r_pop;
    wire [ID_W-1:0]   r_id;
    wire [1:0]        r_resp;

    skid_buffer #(
        .W (ID_W + 2)
    ) u_m_b (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (m_bvalid),
        .in_ready  (m_bready),
        .in_data   ({m_bid, m_bresp}),
        .out_valid (r_valid),
        .out_ready (r_pop),
        .out_data  ({r_id, r_resp})
    );

    wire                 match_hit;
    wire [TW-1:0]        at;
    wire [TXNS-1:0]      eldest;
    wire [TXNS*ID_W-1:0] ids;
    wire                 answer;
    wire [TW-1:0]        answer_txn;

    txn_table #(
        .N    (TXNS),
        .ID_W (ID_W)
    ) u_order (
        .clk       (clk),
        .rst       (rst),
        .alloc     (grant || deny),
        .alloc_id  (aw_id),
        .alloc_ok  (txn_ok),
        .alloc_idx (new_txn),
        .match_id  (r_id),
        .match_hit (match_hit),
        .match_idx (at),
        .done      (answer),
        .done_idx  (answer_txn),
        .free      (answer),
        .free_idx  (answer_txn),
        .eldest    (eldest),
        .older     (ks_older),
        .ids       (ids)
    );

    // Refused bursts whose turn has come and whose data is gone. They and the responses of the
    // memory take turns, so that neither keeps the other from the NPU.
    reg           deny_wait;
    reg           deny_last;               // a refused burst was answered last
    reg  [TW-1:0] deny_pick;
    integer pick;
    always @* begin
        deny_wait = 1'b0;
        deny_pick = {TW{1'b0}};
        for (pick = TXNS - 1; pick >= 0; pick = pick - 1)
            if (eldest[pick] && refused[pick] && !taking[pick]) begin
                deny_wait = 1'b1;
                deny_pick = pick[TW-1:0];
            end
    end

    wire       b_out_ready;
    wire       r_error  = (r_resp != OKAY) && (r_resp != 2'd1);
    wire       b_fault_ready;
    wire       r_here   = r_valid && match_hit && !refused[at] && !sending[at];
    wire       deny_go  = deny_wait && !(deny_last && r_here);
    wire       r_mine   = r_here && !deny_go && b_out_ready;
    wire       r_take   = r_mine && (!r_error || b_fault_ready);
    wire [1:0] r_answer = r_error ? r_resp : !engine_ready ? SLVERR : error[at];

    assign r_pop      = r_take || (r_valid && !match_hit);
    assign answer     = r_take || (deny_go && b_out_ready);
    assign answer_txn = deny_go ? deny_pick : at;

    always @(posedge clk) begin
        if (rst)         deny_last <= 1'b0;
        else if (answer) deny_last <= deny_go;
    end

    reg_slice #(
        .W (ID_W + 2)
    ) u_s_b (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (answer),
        .in_ready  (b_out_ready),
        .in_data   ({ids[answer_txn*ID_W +: ID_W], deny_go ? error[deny_pick] : r_answer}),
        .out_valid (s_bvalid),
        .out_ready (s_bready),
        .out_data  ({s_bid, s_bresp})
    );

    assign mem_error      = r_take && r_error;
    assign mem_error_slot = slot[at];

    // A burst leaves the count with its response, or when the write map refused it; the second
    // waits for the first.
    reg  [SLOT_W-1:0] undo_slot;
    assign tt_dec      = r_take || undo_wait;
    assign tt_dec_slot = r_take ? slot[at] : undo_slot;

    always @(posedge clk) begin
        if (rst) begin
            undo_wait <= 1'b0;
            undo_slot <= {SLOT_W{1'b0}};
        end else if (undo) begin
            undo_wait <= 1'b1;
            undo_slot <= aw_slot;
        end else if (!r_take) begin
            undo_wait <= 1'b0;
        end
    end

    // ------------------------------------------------------------------------------------
    // Context updates
    // ------------------------------------------------------------------------------------
    wire order_pop = w_pop && w_last;
    integer place;
    always @(posedge clk) begin
        if (rst) begin
            for (place = 0; place < TXNS; place = place + 1) order[place] <= {TW{1'b0}};
            order_in  <= {TW{1'b0}};
            order_out <= {TW{1'b0}};
            w_at      <= {TW{1'b0}};
        end else begin
            if (grant || deny) begin
                order[order_in] <= new_txn;
                order_in        <= order_in + 1'b1;
            end
            if (order_pop) order_out <= order_next;
            // If none waits, the next head is the entry that comes now or is the next to come.
            if (order_pop && order_next != order_in) w_at <= order[order_next];
            else if (order_pop || !taking[w_at])     w_at <= new_txn;
        end
    end

    integer txn;
    always @(posedge clk) begin
        if (rst) begin
            for (txn = 0; txn < TXNS; txn = txn + 1) begin
                refused[txn] <= 1'b0;
                error[txn]   <= OKAY;
                slot[txn]    <= {SLOT_W{1'b0}};
                addr[txn]    <= {ADDR_W{1'b0}};
                left[txn]    <= 9'd0;
                t[txn]       <= 8'd0;
                bytes[txn]   <= 13'd0;
                q[txn]       <= 128'd0;
            end
            q_ok    <= {TXNS{1'b0}};
            taking  <= {TXNS{1'b0}};
            sending <= {TXNS{1'b0}};
        end else begin
            if (pw_rsp_valid) begin
                q[pw_rsp_txn]    <= pw_rsp_q & {128{engine_ready}};
                q_ok[pw_rsp_txn] <= 1'b1;
            end
            if (w_pop) begin
                left[w_at]  <= left[w_at] - 9'd1;
                t[w_at]     <= t[w_at] + 8'd1;
                bytes[w_at] <= (bytes[w_at] == 13'd4096) ? 13'd4096 :
                               (bytes[w_at] >= BEAT_BYTES) ? bytes[w_at] - BEAT_BYTES : 13'd0;
                if (w_last) taking[w_at] <= 1'b0;
            end
            if (bad_line) error[b_txn] <= SLVERR;
            if (send && send_last) begin
                sending[send_txn] <= 1'b0;
                // A power of H must not outlive its burst.
                q[send_txn]       <= 128'd0;
            end
            if (grant || deny) begin
                refused[new_txn] <= deny;
                error[new_txn]   <= grant ? OKAY : (denial == `TTEE_CAUSE_NO_TENSOR) ? DECERR : SLVERR;
                slot[new_txn]    <= aw_slot;
                addr[new_txn]    <= aw_addr;
                left[new_txn]    <= {1'b0, aw_len} + 9'd1;
                t[new_txn]       <= 8'd0;
                bytes[new_txn]   <= aw_bytes;
                q_ok[new_txn]    <= 1'b0;
                taking[new_txn]  <= 1'b1;
                sending[new_txn] <= grant;
            end
            if (!engine_ready)
                for (txn = 0; txn < TXNS; txn = txn + 1) q[txn] <= 128'd0;
        end
    end

    // ------------------------------------------------------------------------------------
    // Fault reports
    // ------------------------------------------------------------------------------------
    wire [ADDR_W-7:0] bad_line_addr = addr[b_txn][ADDR_W-1:6] + {{ADDR_W-12{1'b0}}, b_line};

    fault_arb #(
        .W (FW)
    ) u_faults (
        .clk          (clk),
        .rst          (rst),
        .now_valid    (bad_line && engine_ready),
        .now_info     ({`TTEE_CAUSE_PARTIAL_LINE, bad_line_addr, 6'd0, 1'b1, slot[b_txn]}),
        .later0_valid (r_mine && r_error),
        .later0_ready (b_fault_ready),
        .later0_info  ({`TTEE_CAUSE_MEM_WRITE, addr[at], 1'b1, slot[at]}),
        .later1_valid (deny_may),
        .later1_ready (aw_fault_ready),
        .later1_info  ({denial, aw_addr, aw_hit, aw_slot}),
        .out_valid    (fault),
        .out_info     ({fault_cause, fault_addr, fault_slot_hit, fault_slot})
    );

    wire _unused = &{1'b0, unused_wrap, unused_box, unused_wrap_first, unused_split, w_line_number[7:6]};

endmodule

`resetall
