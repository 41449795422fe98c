// SPDX-License-Identifier: Apache-2.0
//
// axil_csr: control and status registers of the engine on an AXI4-Lite port.
//
// The map is rtl/tensortee.rdl (reference: docs/registers.md); tests walk every field of
// this module against it.
//
// Byte order  wdata[7:0] and rdata[7:0] are the byte at the lowest address. Example: address
//             0x000 reads 32'h54544545, so the bytes 0x000 .. 0x003 are 45 45 54 54.
// Writes      AW and W may come in any order, any distance apart; both are taken before the
//             write is done and answered. Only a write of all four bytes to a register that
//             software can write is done. A partial write, an unmapped, unaligned or
//             read-only address, and a refused command answer SLVERR and change nothing.
// Reads       independent of writes, answered with the contents in the cycle after AR.
//             An unmapped or unaligned address answers SLVERR with zero data.
// Latency     write: B two cycles after the later of AW and W; read: R two cycles after AR.
// Throughput  one write and one read in two cycles; every ready and valid is a register, and
//             none waits for the other side.
//
// cmd_*       cmd_valid is a one-cycle pulse. cmd_opcode and cmd_slot hold until the next
//             command; cmd_base and cmd_nbytes are the registers themselves and may change
//             in any cycle in which cmd_valid is low. cmd_busy must be high at the latest in
//             the cycle after cmd_valid. While it is high, ZEROIZE alone is accepted.
// cmd_done    one-cycle pulse with opcode, slot and result of the completed command.
// rd_fault,   one-cycle pulses with their description. The first one since the log was
// wr_fault    cleared is kept; of two in one cycle it is the read, and the count rises by two.
// *_fail,     one-cycle pulses that set their interrupt bit.
// *_event
// view_*      description of slot slot_sel, at the latest one cycle after slot_sel changes;
//             ignored while slot_sel is not below SLOTS: the registers then read as zero.
// irq         one cycle behind INTR_STATE & INTR_ENABLE.
//
// An event wins over a write in the same cycle that clears it. AxPROT is ignored: who may
// reach this port is decided outside. Not supported: 64-bit access.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module axil_csr #(
    parameter SLOTS  = 16,  // tensor slots, power of two, 2 .. 64
    parameter ADDR_W = 40,  // AXI address width in bits, 32 .. 48
    parameter LANES  = 1,   // AES lanes per direction, 1, 2 or 4
    parameter KEY_W  = 128  // key width in bits, 128 or 256
) (
    input  wire              clk,
    input  wire              rst,

    input  wire [11:0]       s_axil_awaddr,
    input  wire [2:0]        s_axil_awprot,
    input  wire              s_axil_awvalid,
    output reg               s_axil_awready,
    input  wire [31:0]       s_axil_wdata,
    input  wire [3:0]        s_axil_wstrb,
    input  wire              s_axil_wvalid,
    output reg               s_axil_wready,
    output reg  [1:0]        s_axil_bresp,
    output reg               s_axil_bvalid,
    input  wire              s_axil_bready,
    input  wire [11:0]       s_axil_araddr,
    input  wire [2:0]        s_axil_arprot,
    input  wire              s_axil_arvalid,
    output reg               s_axil_arready,
    output reg  [31:0]       s_axil_rdata,
    output reg  [1:0]        s_axil_rresp,
    output reg               s_axil_rvalid,
    input  wire              s_axil_rready,

    input  wire [2:0]        engine_state,
    input  wire              key_refused,
    input  wire              cmd_busy,

    output reg               cmd_valid,
    output reg  [3:0]        cmd_opcode,
    output reg  [7:0]        cmd_slot,
    output reg  [63:0]       cmd_base,
    output reg  [63:0]       cmd_nbytes,

    input  wire              cmd_done,
    input  wire [3:0]        cmd_done_opcode,
    input  wire [7:0]        cmd_done_slot,
    input  wire [7:0]        cmd_done_result,

    input  wire              rd_fault,
    input  wire [3:0]        rd_fault_cause,
    input  wire [ADDR_W-1:0] rd_fault_addr,
    input  wire              rd_fault_slot_hit,
    input  wire [7:0]        rd_fault_slot,

    input  wire              wr_fault,
    input  wire [3:0]        wr_fault_cause,
    input  wire [ADDR_W-1:0] wr_fault_addr,
    input  wire              wr_fault_slot_hit,
    input  wire [7:0]        wr_fault_slot,

    input  wire              window_fail,
    input  wire              fatal_event,

    output reg  [7:0]        slot_sel,
    input  wire [3:0]        view_state,
    input  wire [7:0]        view_result,
    input  wire [63:0]       view_base,
    input  wire [63:0]       view_nbytes,
    input  wire [27:0]       view_id,
    input  wire [63:0]       view_version,
    input  wire [31:0]       view_count,

    output reg               irq
);

`ifndef SYNTHESIS
    initial begin
        if (SLOTS < 2 || SLOTS > 64 || (SLOTS & (SLOTS - 1)) != 0) begin
            $error("%m: SLOTS is %0d, must be a power of two, 2 .. 64", SLOTS);
            $finish;
        end
        if (ADDR_W < 32 || ADDR_W > 48) begin
            $error("%m: ADDR_W is %0d, must be 32 .. 48", ADDR_W);
            $finish;
        end
        if (LANES != 1 && LANES != 2 && LANES != 4) begin
            $error("%m: LANES is %0d, must be 1, 2 or 4", LANES);
            $finish;
        end
        if (KEY_W != 128 && KEY_W != 256) begin
            $error("%m: KEY_W is %0d, must be 128 or 256", KEY_W);
            $finish;
        end
    end
`endif

    localparam [1:0] OKAY   = 2'b00;
    localparam [1:0] SLVERR = 2'b10;

    localparam [15:0] PARAM_SLOTS   = SLOTS[15:0];
    localparam [7:0]  PARAM_ADDR_W  = ADDR_W[7:0];
    localparam [0:0]  PARAM_KEY_256 = KEY_W == 256;
    localparam [2:0]  PARAM_LANES   = LANES[2:0];

    wire unused_prot = &{1'b0, s_axil_awprot, s_axil_arprot};

    // Registers behind the map; the bits of intr_* are {FATAL, WINDOW_FAIL, ACCESS_FAULT, CMD_DONE}.
    reg [3:0]        intr_state;
    reg [3:0]        intr_enable;
    reg [7:0]        result_slot;
    reg [3:0]        result_opcode;
    reg [7:0]        result;
    reg              fault_valid;
    reg              fault_is_write;
    reg              fault_slot_hit;
    reg [7:0]        fault_slot;
    reg [3:0]        fault_cause;
    reg [ADDR_W-1:0] fault_addr;
    reg [15:0]       fault_count;

    // Write channel: AW and W are held here until both are present.
    reg         aw_held;
    reg [11:0]  aw_addr;
    reg         w_held;
    reg [31:0]  w_data;
    reg [3:0]   w_strb;

    wire        write        = aw_held && w_held && !s_axil_bvalid;
    wire        cmd_accepted = !cmd_busy || w_data[3:0] == `TTEE_OP_ZEROIZE;
    reg         write_addr_ok;
    wire        write_ok     = write && write_addr_ok && w_strb == 4'hF;

    always @* begin
        case (aw_addr)
            `TTEE_REG_INTR_STATE,
            `TTEE_REG_INTR_ENABLE,
            `TTEE_REG_INTR_TEST,
            `TTEE_REG_CMD_BASE_LO,
            `TTEE_REG_CMD_BASE_HI,
            `TTEE_REG_CMD_NBYTES_LO,
            `TTEE_REG_CMD_NBYTES_HI,
            `TTEE_REG_FAULT_STATUS,
            `TTEE_REG_SLOT_SEL:      write_addr_ok = 1'b1;
            `TTEE_REG_CMD:           write_addr_ok = cmd_accepted;
            default:                 write_addr_ok = 1'b0;
        endcase
    end

    always @(posedge clk) begin
        if (rst) begin
            s_axil_awready <= 1'b0;
            s_axil_wready  <= 1'b0;
            s_axil_bvalid  <= 1'b0;
            s_axil_bresp   <= OKAY;
            aw_held        <= 1'b0;
            aw_addr        <= 12'd0;
            w_held         <= 1'b0;
            w_data         <= 32'd0;
            w_strb         <= 4'd0;
        end else begin
            if (s_axil_awvalid && s_axil_awready) begin
                aw_held        <= 1'b1;
                aw_addr        <= s_axil_awaddr;
                s_axil_awready <= 1'b0;
            end else begin
                s_axil_awready <= !aw_held || write;
            end
            if (s_axil_wvalid && s_axil_wready) begin
                w_held        <= 1'b1;
                w_data        <= s_axil_wdata;
                w_strb        <= s_axil_wstrb;
                s_axil_wready <= 1'b0;
            end else begin
                s_axil_wready <= !w_held || write;
            end
            if (write) begin
                aw_held       <= 1'b0;
                w_held        <= 1'b0;
                s_axil_bvalid <= 1'b1;
                s_axil_bresp  <= write_ok ? OKAY : SLVERR;
            end else if (s_axil_bready) begin
                s_axil_bvalid <= 1'b0;
                s_axil_bresp  <= OKAY;
            end
        end
    end

    // Read channel.
    reg         ar_held;
    reg [11:0]  ar_addr;
    reg [31:0]  read_data;
    reg         read_addr_ok;

    wire        read = ar_held && !s_axil_rvalid;
    wire        view_here     = ({24'd0, slot_sel} < SLOTS);
    wire [63:0] fault_addr_64 = {{64 - ADDR_W{1'b0}}, fault_addr};

    always @* begin
        read_addr_ok = 1'b1;
        case (ar_addr)
            `TTEE_REG_ID:             read_data = `TTEE_CONST_ID;
            `TTEE_REG_VERSION:        read_data = `TTEE_CONST_VERSION;
            `TTEE_REG_PARAMS:         read_data = {PARAM_SLOTS, PARAM_ADDR_W, 3'd0, PARAM_KEY_256, 1'b0, PARAM_LANES};
            // A command that was accepted in the cycle before is busy already.
            `TTEE_REG_STATUS:         read_data = {22'd0, key_refused, cmd_busy || cmd_valid, 5'd0, engine_state};
            `TTEE_REG_INTR_STATE:     read_data = {28'd0, intr_state};
            `TTEE_REG_INTR_ENABLE:    read_data = {28'd0, intr_enable};
            `TTEE_REG_INTR_TEST:      read_data = 32'd0;
            `TTEE_REG_CMD:            read_data = 32'd0;
            `TTEE_REG_CMD_BASE_LO:    read_data = cmd_base[31:0];
            `TTEE_REG_CMD_BASE_HI:    read_data = cmd_base[63:32];
            `TTEE_REG_CMD_NBYTES_LO:  read_data = cmd_nbytes[31:0];
            `TTEE_REG_CMD_NBYTES_HI:  read_data = cmd_nbytes[63:32];
            `TTEE_REG_CMD_RESULT:     read_data = {8'd0, result_slot, 4'd0, result_opcode, result};
            `TTEE_REG_FAULT_STATUS:   read_data = {fault_valid, fault_is_write, fault_slot_hit, 13'd0, fault_slot, 4'd0, fault_cause};
            `TTEE_REG_FAULT_ADDR_LO:  read_data = fault_addr_64[31:0];
            `TTEE_REG_FAULT_ADDR_HI:  read_data = fault_addr_64[63:32];
            `TTEE_REG_FAULT_COUNT:    read_data = {16'd0, fault_count};
            `TTEE_REG_SLOT_SEL:       read_data = {24'd0, slot_sel};
            `TTEE_REG_SLOT_STATUS:    read_data = view_here ? {16'd0, view_result, 4'd0, view_state} : 32'd0;
            `TTEE_REG_SLOT_BASE_LO:   read_data = view_here ? view_base[31:0] : 32'd0;
            `TTEE_REG_SLOT_BASE_HI:   read_data = view_here ? view_base[63:32] : 32'd0;
            `TTEE_REG_SLOT_NBYTES_LO: read_data = view_here ? view_nbytes[31:0] : 32'd0;
            `TTEE_REG_SLOT_NBYTES_HI: read_data = view_here ? view_nbytes[63:32] : 32'd0;
            `TTEE_REG_SLOT_ID:        read_data = view_here ? {4'd0, view_id} : 32'd0;
            `TTEE_REG_SLOT_VERSION_LO: read_data = view_here ? view_version[31:0] : 32'd0;
            `TTEE_REG_SLOT_VERSION_HI: read_data = view_here ? view_version[63:32] : 32'd0;
            `TTEE_REG_SLOT_COUNT:     read_data = view_here ? view_count : 32'd0;
            default: begin
                read_data    = 32'd0;
                read_addr_ok = 1'b0;
            end
        endcase
    end

    always @(posedge clk) begin
        if (rst) begin
            s_axil_arready <= 1'b0;
            s_axil_rvalid  <= 1'b0;
            s_axil_rdata   <= 32'd0;
            s_axil_rresp   <= OKAY;
            ar_held        <= 1'b0;
            ar_addr        <= 12'd0;
        end else begin
            if (s_axil_arvalid && s_axil_arready) begin
                ar_held        <= 1'b1;
                ar_addr        <= s_axil_araddr;
                s_axil_arready <= 1'b0;
            end else begin
                s_axil_arready <= !ar_held || read;
            end
            if (read) begin
                ar_held       <= 1'b0;
                s_axil_rvalid <= 1'b1;
                s_axil_rdata  <= read_data;
                s_axil_rresp  <= read_addr_ok ? OKAY : SLVERR;
            end else if (s_axil_rready) begin
                s_axil_rvalid <= 1'b0;
                s_axil_rdata  <= 32'd0;
                s_axil_rresp  <= OKAY;
            end
        end
    end

    // Commands.
    always @(posedge clk) begin
        if (rst) begin
            cmd_valid     <= 1'b0;
            cmd_opcode    <= 4'd0;
            cmd_slot      <= 8'd0;
            cmd_base      <= 64'd0;
            cmd_nbytes    <= 64'd0;
            slot_sel      <= 8'd0;
            result_slot   <= 8'd0;
            result_opcode <= 4'd0;
            result        <= 8'd0;
        end else begin
            cmd_valid <= write_ok && aw_addr == `TTEE_REG_CMD;
            if (write_ok) begin
                case (aw_addr)
                    `TTEE_REG_CMD: begin
                        cmd_opcode <= w_data[3:0];
                        cmd_slot   <= w_data[15:8];
                    end
                    `TTEE_REG_CMD_BASE_LO:   cmd_base[31:0]    <= w_data;
                    `TTEE_REG_CMD_BASE_HI:   cmd_base[63:32]   <= w_data;
                    `TTEE_REG_CMD_NBYTES_LO: cmd_nbytes[31:0]  <= w_data;
                    `TTEE_REG_CMD_NBYTES_HI: cmd_nbytes[63:32] <= w_data;
                    `TTEE_REG_SLOT_SEL:      slot_sel          <= w_data[7:0];
                    default: ;
                endcase
            end
            if (cmd_done) begin
                result_slot   <= cmd_done_slot;
                result_opcode <= cmd_done_opcode;
                result        <= cmd_done_result;
            end
        end
    end

    // Interrupts.
    wire       fault      = rd_fault || wr_fault;
    wire [3:0] intr_event = {fatal_event, window_fail, fault, cmd_done};
    wire [3:0] intr_clear = write_ok && aw_addr == `TTEE_REG_INTR_STATE ? w_data[3:0] : 4'd0;
    wire [3:0] intr_test  = write_ok && aw_addr == `TTEE_REG_INTR_TEST  ? w_data[3:0] : 4'd0;

    always @(posedge clk) begin
        if (rst) begin
            intr_state  <= 4'd0;
            intr_enable <= 4'd0;
            irq         <= 1'b0;
        end else begin
            intr_state <= (intr_state & ~intr_clear) | intr_test | intr_event;
            if (write_ok && aw_addr == `TTEE_REG_INTR_ENABLE) intr_enable <= w_data[3:0];
            irq <= (intr_state & intr_enable) != 4'd0;
        end
    end

    // Fault log.
    wire        log_clear = write_ok && aw_addr == `TTEE_REG_FAULT_STATUS && w_data[31];
    wire [16:0] count_sum = {1'b0, log_clear ? 16'd0 : fault_count} + {16'd0, rd_fault} + {16'd0, wr_fault};

    always @(posedge clk) begin
        if (rst) begin
            fault_valid    <= 1'b0;
            fault_is_write <= 1'b0;
            fault_slot_hit <= 1'b0;
            fault_slot     <= 8'd0;
            fault_cause    <= `TTEE_CAUSE_NONE;
            fault_addr     <= {ADDR_W{1'b0}};
            fault_count    <= 16'd0;
        end else begin
            fault_count <= count_sum[16] ? 16'hFFFF : count_sum[15:0];
            if (fault && (!fault_valid || log_clear)) begin
                fault_valid    <= 1'b1;
                fault_is_write <= !rd_fault;
                fault_slot_hit <= rd_fault ? rd_fault_slot_hit : wr_fault_slot_hit;
                fault_slot     <= rd_fault ? rd_fault_slot : wr_fault_slot;
                fault_cause    <= rd_fault ? rd_fault_cause : wr_fault_cause;
                fault_addr     <= rd_fault ? rd_fault_addr : wr_fault_addr;
            end else if (log_clear) begin
                fault_valid    <= 1'b0;
                fault_is_write <= 1'b0;
                fault_slot_hit <= 1'b0;
                fault_slot     <= 8'd0;
                fault_cause    <= `TTEE_CAUSE_NONE;
                fault_addr     <= {ADDR_W{1'b0}};
            end
        end
    end

endmodule

`resetall
